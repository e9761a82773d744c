/* SPDX-License-Identifier: Apache-2.0 */
/* grammar.c - the table; see grammar.h for who reads it. */
#include "grammar.h"

#include <string.h>

#include "nouns.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ONE_DISK                  \
	{                         \
		{                 \
			"NAME", 0 \
		}                 \
	}

const struct flag grammar_flags[FLAG_COUNT] = {
	[FLAG_ROOT] = {"root", 0, "DIR",
		       "the host that lives under DIR; also $FOREBAY_ROOT"},
	[FLAG_OUTPUT] = {"output", 'o', "FORM",
			 "table, json (what the API answered) or yaml"},
	[FLAG_HELP] = {"help", 'h', NULL, "show help for what stands before"},
	[FLAG_VERSION] = {"version", 0, NULL, "print the version"},
	[FLAG_FILE] = {"file", 'f', "FILE",
		       "YAML or JSON file; - reads standard input"},
	[FLAG_BACKEND] = {"backend", 0, "URI",
			  "where the bytes live: file:PATH, or just a path"},
	[FLAG_SIZE] = {"size", 0, "SIZE",
		       "bytes, or with KiB, MiB, GiB, TiB: makes the image"},
	[FLAG_POLICY] = {"policy", 0, "NAME", "filters for the disk"},
	[FLAG_EXPORT] = {"export", 0, "KINDS",
			 "vhost-user-blk, nbd, or both with a comma"},
	[FLAG_TARGET] = {"target", 0, "DEVICE",
			 "the device's name in the domain (vda)"},
	[FLAG_DELETE_BACKEND] = {"delete-backend", 0, NULL,
				 "delete the image as well"},
	[FLAG_DISCARD_DIRTY] = {"discard-dirty", 0, NULL,
				"go on though unwritten data is lost"},
	[FLAG_READ_ONLY] = {"read-only", 0, NULL,
			    "nobody writes to the disk, ever"},
	[FLAG_QUEUES] = {"queues", 0, "COUNT",
			 "of a disk's device (16), or of a load (1)"},
	[FLAG_DEVICE_REVISION] = {"device-revision", 0, "NUMBER",
				  "the device that the disk has elsewhere"},
	[FLAG_INCOMING] = {"incoming", 0, NULL,
			   "serve nothing until the VM arrives in a migration"},
	[FLAG_DROP_CLEAN] = {"drop-clean", 0, NULL,
			     "the cache starts empty: the backend has changed"},
	[FLAG_BACKGROUND] = {"background", 0, NULL,
			     "don't wait until everything is written back"},
	[FLAG_HOLD] = {"hold", 0, NULL,
		       "and keep the backend so, while the VM runs on"},
	[FLAG_TIMEOUT] = {"timeout", 0, "TIME",
			  "of a hold, at most (10min): s, min or h"},
	[FLAG_SIDECAR] = {"sidecar", 0, "DIR",
			  "where it stands whose the backend is"},
	[FLAG_ID] = {"id", 0, "UUID",
		     "the id that the disk has on another host"},
	[FLAG_VHOST_USER] = {"vhost-user", 0, "SOCKET",
			     "any vhost-user-blk device's socket"},
	[FLAG_NBD] = {"nbd", 0, "URI", "any NBD server"},
	[FLAG_BLOCK_SIZE] = {"block-size", 0, "SIZE", "of each request (4KiB)"},
	[FLAG_DEPTH] = {"depth", 0, "N",
			"requests under way in each queue (1)"},
	[FLAG_READ] = {"read", 0, "PERCENT",
		       "of reads among reads and writes (100)"},
	[FLAG_FLUSH] = {"flush", 0, "PERCENT",
			"of flushes among all requests (0)"},
	[FLAG_FLUSH_EVERY] = {"flush-every", 0, "N",
			      "a flush behind N writes of a queue"},
	[FLAG_DISCARD] = {"discard", 0, "PERCENT",
			  "of discards among all requests (0)"},
	[FLAG_WRITE_ZEROES] = {"write-zeroes", 0, "PERCENT",
			       "of zeroing among all requests (0)"},
	[FLAG_PATTERN] = {"pattern", 0, "PATTERN",
			  "uniform, zipf[:THETA] or sequential"},
	[FLAG_RATE] = {"rate", 0, "N", "requests a second, evenly spaced"},
	[FLAG_SECONDS] = {"seconds", 0, "N",
			  "how long (10); 0: only read back"},
	[FLAG_WARM_UP] = {"warm-up", 0, "N", "seconds before, not measured"},
	[FLAG_REQUESTS] = {"count", 0, "N", "end after N requests"},
	[FLAG_OFFSET] = {"offset", 0, "SIZE", "where on the disk to begin"},
	[FLAG_SPAN] = {"span", 0, "SIZE", "how much of the disk to use"},
	[FLAG_MEMORY] = {"memory", 0, "SIZE",
			 "data lie in so much memory in turn"},
	[FLAG_NOTIFY] = {"notify", 0, "HOW",
			 "interrupt (sleeps) or poll (burns a CPU)"},
	[FLAG_PACKED] = {"packed", 0, NULL,
			 "packed virtqueues; vhost-user-blk only"},
	[FLAG_SEED] = {"seed", 0, "N", "of what is random (1)"},
	[FLAG_VERIFY] = {"verify", 0, NULL,
			 "stamp what is written, check what is read"},
	[FLAG_JOURNAL] = {"journal", 0, "FILE",
			  "keep what the disk must hold; verifies"},
	[FLAG_RECONNECT] = {"reconnect", 0, "N",
			    "seconds that the server may be away (0)"},
	[FLAG_DESTROY_DATA] = {"destroy-data", 0, NULL,
			       "let the load overwrite the disk"},
	[FLAG_TO] = {"to", 0, "IMAGE",
		     "a new image; - writes the disk to standard output"},
	[FLAG_BASE] = {"base", 0, "IMAGE",
		       "the disk's own image, which lies under the result"},
	[FLAG_IN_PLACE] = {"in-place", 0, NULL,
			   "write into the image that --to names"},
	[FLAG_DIRTY_ONLY] = {"dirty-only", 0, NULL,
			     "leave out what the disk's image has, too"},
	[FLAG_SALVAGE] = {"salvage", 0, NULL,
			  "give what is left of a damaged log"},
	[FLAG_FORCE_READ] = {"force-read", 0, NULL,
			     "read though the disk is open: may not fit"},
	[FLAG_INTO] = {"into", 0, "PATH", "where the result goes"},
	[FLAG_KEY] = {"key", 0, "FILE", "a key of 'forebay filter keygen'"},
};

static const struct verb status_verbs[] = {
	{
		.summary = "Show how this host is",
		.details = "Lists the daemons, how many pools, policies and "
			   "disks there are,\nand what needs attention.",
		.examples = {"forebay status",
			     "forebay --root /tmp/host1 status -o json"},
		.run = status_show,
	},
};

static const struct verb pool_verbs[] = {
	{
		.name = "create",
		.summary = "Make a cache pool of directories on local SSDs",
		.details = "Each PATH is an existing, writable directory on "
			   "XFS or ext4 that no other\npool has.",
		.operands = {{"NAME", 0}, {"PATH", 1}},
		.examples = {"forebay pool create ssd /var/cache/forebay",
			     "forebay pool create fast /mnt/nvme0 /mnt/nvme1"},
		.run = pool_create,
	},
	{
		.name = "list",
		.summary = "List the pools and their space",
		.examples = {"forebay pool list"},
		.run = pool_list,
	},
	{
		.name = "show",
		.summary = "Show a pool's directories and whose caches they "
			   "hold",
		.details = "A directory that is missing keeps its disks from "
			   "being opened; the note says\nwhy.",
		.operands = {{"NAME", 0}},
		.examples = {"forebay pool show ssd"},
		.run = pool_show,
	},
};

static const struct verb policy_verbs[] = {
	{
		.name = "create",
		.summary = "Make a policy: filters and their properties",
		.details = "The file holds a name and a list of filters:\n"
			   "\n"
			   "    name: gold\n"
			   "    filters:\n"
			   "      - filter: throttle\n"
			   "        properties: { iops: 20000 }\n"
			   "      - filter: cache\n"
			   "        properties: { mode: write-back, "
			   "limit: 4GiB }\n"
			   "\n"
			   "'forebay filter list -o yaml' shows every property "
			   "of every filter.",
		.flags = FLAG_BIT(FLAG_FILE),
		.required = FLAG_BIT(FLAG_FILE),
		.examples = {"forebay policy create -f gold.yaml"},
		.run = policy_create,
	},
	{
		.name = "update",
		.summary = "Change a policy, also of disks that are open",
		.details = "The file names the policy and holds all of it, as "
			   "for 'create'. Disks that are\nopen change at once. "
			   "A property that can't change then, and another "
			   "list of\nfilters, are refused while a disk of the "
			   "policy is open.",
		.flags = FLAG_BIT(FLAG_FILE),
		.required = FLAG_BIT(FLAG_FILE),
		.examples = {"forebay policy update -f gold.yaml"},
		.run = policy_update,
	},
	{
		.name = "list",
		.summary = "List the policies and the disks that have them",
		.examples = {"forebay policy list"},
		.run = policy_list,
	},
};

static const struct verb filter_verbs[] = {
	{
		.name = "list",
		.summary = "List the filters installed on this host",
		.examples = {"forebay filter list",
			     "forebay filter list -o yaml"},
		.run = filter_list,
	},
	{
		.name = "show",
		.summary = "Show a filter and the properties that it takes",
		.details = "-o json has a JSON Schema of the properties, for "
			   "editors and other programs.",
		.operands = {{"NAME", 0}},
		.examples = {"forebay filter show throttle",
			     "forebay filter show throttle -o json"},
		.run = filter_show,
	},
	{
		.name = "status",
		.summary = "Show what the filters of an open disk say",
		.details = "From the VM down: their status, their metrics, the "
			   "requests that each\nhas now, and how often it "
			   "blocked the disk's loop.",
		.operands = {{"DISK", 0, 0}, {"FILTER", 0, 1}},
		.examples = {"forebay filter status db1",
			     "forebay filter status db1 cache -o json"},
		.run = filter_status,
	},
	{
		.name = "call",
		.summary = "Have a filter of an open disk do something",
		.details = "Actions and their arguments are declared by the "
			   "filter:\n'forebay filter list -o yaml' shows them.",
		.operands = {{"DISK", 0, 0},
			     {"FILTER", 0, 0},
			     {"ACTION", 0, 0},
			     {"NAME=VALUE", 1, 1}},
		.examples = {"forebay filter call db1 count reset",
			     "forebay filter call db1 trace start size=64MiB"},
		.run = filter_call,
	},
	{
		.name = "new",
		.summary = "Make a folder with a filter that does nothing yet",
		.details = "It builds with make or meson against the installed "
			   "header, and has a test.",
		.operands = {{"NAME", 0}},
		.flags = FLAG_BIT(FLAG_INTO),
		.examples = {"forebay filter new audit"},
		.run = filter_new,
	},
	{
		.name = "build",
		.summary = "Make a bundle of a folder with a compiled filter",
		.details = "The folder has manifest.json with the filter's "
			   "name and needs, NAME.so (or\nbuild/NAME.so), and "
			   "perhaps README.md, LICENSE and docs/.",
		.operands = {{"FOLDER", 0}},
		.flags = FLAG_BIT(FLAG_INTO),
		.examples = {"forebay filter build audit",
			     "forebay filter build audit --into a.fbundle"},
		.run = filter_build,
	},
	{
		.name = "keygen",
		.summary = "Make a key that signs bundles",
		.details = "NAME.key signs and is secret; NAME.pub is for "
			   "hosts that trust its owner.",
		.operands = {{"NAME", 0}},
		.examples = {"forebay filter keygen me"},
		.run = filter_keygen,
	},
	{
		.name = "sign",
		.summary = "Sign a bundle",
		.operands = {{"BUNDLE", 0}},
		.flags = FLAG_BIT(FLAG_KEY),
		.required = FLAG_BIT(FLAG_KEY),
		.examples = {"forebay filter sign audit-0.1.0.fbundle --key "
			     "me.key"},
		.run = filter_sign,
	},
	{
		.name = "verify",
		.summary = "Check that a bundle is as a key's owner signed it",
		.operands = {{"BUNDLE", 0}},
		.flags = FLAG_BIT(FLAG_KEY),
		.required = FLAG_BIT(FLAG_KEY),
		.examples = {"forebay filter verify audit-0.1.0.fbundle --key "
			     "me.pub"},
		.run = filter_verify,
	},
	{
		.name = "install",
		.summary = "Install a signed bundle on this host",
		.details = "Its key must be trusted. The library is loaded in "
			   "a sandbox for a try. Policies\nhave the newest "
			   "version of NAME, or NAME@VERSION; disks that are "
			   "open keep what\nthey have until they are "
			   "restarted.",
		.operands = {{"BUNDLE", 0}},
		.examples = {"forebay filter install audit-0.1.0.fbundle"},
		.run = filter_install,
	},
	{
		.name = "uninstall",
		.summary = "Remove a bundle that no disk and no policy needs",
		.operands = {{"NAME[@VERSION]", 0}},
		.examples = {"forebay filter uninstall audit@0.1.0"},
		.run = filter_uninstall,
	},
	{
		.name = "issues",
		.summary = "List the filters that can't be used, and why",
		.examples = {"forebay filter issues"},
		.run = filter_issues,
	},
	{
		.name = "trust",
		.summary = "Trust the owner of a public key",
		.details = "Bundles that it signed can be installed. The key's "
			   "name here is its file's.",
		.operands = {{"FILE", 0}},
		.examples = {"forebay filter trust me.pub"},
		.run = filter_trust,
	},
	{
		.name = "untrust",
		.summary = "Trust a key no longer",
		.details = "What it signed can't be used at the next start of "
			   "a disk; disks that are open\nkeep it until then.",
		.operands = {{"NAME", 0}},
		.examples = {"forebay filter untrust me"},
		.run = filter_untrust,
	},
	{
		.name = "keys",
		.summary = "List the keys that this host trusts",
		.examples = {"forebay filter keys"},
		.run = filter_keys,
	},
};

static const struct verb disk_verbs[] = {
	{
		.name = "create",
		.summary = "Make a disk known to Forebay",
		.details =
			"Without --size the image must exist and is taken "
			"as it is. With --size a\nmissing image is made; one "
			"that exists must have that size. The disk is\n"
			"closed: open it next.",
		.operands = ONE_DISK,
		.flags = FLAG_BIT(FLAG_BACKEND) | FLAG_BIT(FLAG_SIZE) |
			 FLAG_BIT(FLAG_POLICY) | FLAG_BIT(FLAG_EXPORT) |
			 FLAG_BIT(FLAG_READ_ONLY) | FLAG_BIT(FLAG_QUEUES) |
			 FLAG_BIT(FLAG_DEVICE_REVISION) | FLAG_BIT(FLAG_ID) |
			 FLAG_BIT(FLAG_SIDECAR),
		.required = FLAG_BIT(FLAG_BACKEND),
		.examples = {"forebay disk create web1 --backend "
			     "/srv/images/web1.raw --policy gold",
			     "forebay disk create scratch --backend "
			     "file:/srv/scratch.raw --size 20GiB --export nbd"},
		.run = disk_create,
	},
	{
		.name = "list",
		.summary = "List the disks with state, mode and dirty bytes",
		.examples = {"forebay disk list"},
		.run = disk_list,
	},
	{
		.name = "show",
		.summary = "Show one disk: state, sockets, cache mode",
		.operands = ONE_DISK,
		.examples = {"forebay disk show web1",
			     "forebay disk show web1 -o json"},
		.run = disk_show,
	},
	{
		.name = "open",
		.summary = "Start a disk's process; its sockets listen then",
		.details = "With --incoming for a VM that will arrive in a "
			   "migration: nothing is\nserved or locked until it "
			   "runs here. With --drop-clean after the backend\n"
			   "was changed where Forebay can't see it. With "
			   "--discard-dirty what a cache\nhere or on another "
			   "host holds of the disk is lost.",
		.operands = ONE_DISK,
		.flags = FLAG_BIT(FLAG_INCOMING) | FLAG_BIT(FLAG_DROP_CLEAN) |
			 FLAG_BIT(FLAG_DISCARD_DIRTY),
		.examples = {"forebay disk open web1",
			     "forebay disk open web1 --incoming"},
		.run = disk_open,
	},
	{
		.name = "close",
		.summary = "Write everything back and end a disk's process",
		.details = "With --background its sockets are gone at once, "
			   "and a process that serves\nnobody writes back. "
			   "A policy whose cache says on_close: hold leaves "
			   "it\nin the cache; another close writes it back.",
		.operands = ONE_DISK,
		.flags = FLAG_BIT(FLAG_BACKGROUND),
		.examples = {"forebay disk close web1",
			     "forebay disk close web1 --background"},
		.run = disk_close,
	},
	{
		.name = "restart",
		.summary = "Replace a disk's process while its VM runs",
		.details = "Requests in flight end first; the VMM reconnects. "
			   "Says how long nothing\nwas served.",
		.operands = ONE_DISK,
		.examples = {"forebay disk restart web1"},
		.run = disk_restart,
	},
	{
		.name = "resize",
		.summary = "Make a disk larger, also while its VM runs",
		.details = "An image is extended; a block device must have the "
			   "size already. A\nclosed disk's image is extended "
			   "when it is opened.",
		.operands = ONE_DISK,
		.flags = FLAG_BIT(FLAG_SIZE),
		.required = FLAG_BIT(FLAG_SIZE),
		.examples = {"forebay disk resize web1 --size 40GiB"},
		.run = disk_resize,
	},
	{
		.name = "stats",
		.summary = "Show a disk's requests, latencies and filters",
		.details = "Counts from the start of the disk's process. "
			   "Latencies are medians and\npercentiles. Details "
			   "that count nothing yet are left out; -o json has\n"
			   "them all.",
		.operands = ONE_DISK,
		.examples = {"forebay disk stats web1",
			     "watch -n 1 forebay disk stats web1"},
		.run = disk_stats,
	},
	{
		.name = "advise",
		.summary = "Say what a cache of another size would hit",
		.details = "By a simulation of the cache's own policy over a "
			   "sample of the disk's blocks, of\nwhat was read "
			   "lately. The present size is measured. Needs some "
			   "reads first.",
		.operands = ONE_DISK,
		.examples = {"forebay disk advise web1"},
		.run = disk_advise,
	},
	{
		.name = "flush",
		.summary = "Write what is dirty now to the backend",
		.details =
			"With --hold the backend then stays exactly as the "
			"disk was at one moment, for a\n"
			"backup or a snapshot of an array, while the VM writes "
			"on into its cache. It\n"
			"ends with 'forebay disk release', which says whether "
			"the backend stayed so: it\n"
			"ends by itself after the time, and before the VM "
			"would have to wait.",
		.operands = ONE_DISK,
		.flags = FLAG_BIT(FLAG_HOLD) | FLAG_BIT(FLAG_TIMEOUT),
		.examples = {"forebay disk flush web1",
			     "forebay disk flush web1 --hold --timeout 30min"},
		.run = disk_flush,
	},
	{
		.name = "release",
		.summary = "End a hold, and say whether the backend stayed so",
		.operands = ONE_DISK,
		.examples = {"forebay disk release web1"},
		.run = disk_release,
	},
	{
		.name = "notify",
		.summary = "Tell a disk's filters how its VM is",
		.details = "STATE is starting, running, migrating or stopped. "
			   "For whatever runs the VM.",
		.operands = {{"NAME", 0}, {"STATE", 0}},
		.examples = {"forebay disk notify web1 running"},
		.run = disk_notify,
	},
	{
		.name = "history",
		.summary = "Show what happened to a disk, the newest last",
		.details = "What was asked for, and the lifecycle events of "
			   "its filters: who refused,\nand who was late. The "
			   "last 1,000 entries; -o json has the answers of "
			   "every\nfilter.",
		.operands = ONE_DISK,
		.examples = {"forebay disk history web1",
			     "forebay disk history web1 -o json"},
		.run = disk_history,
	},
	{
		.name = "delete",
		.summary = "Forget a closed disk and its cache",
		.details = "The image under the disk stays, unless "
			   "--delete-backend is given.",
		.operands = ONE_DISK,
		.flags = FLAG_BIT(FLAG_DELETE_BACKEND) |
			 FLAG_BIT(FLAG_DISCARD_DIRTY),
		.examples = {"forebay disk delete web1"},
		.run = disk_delete,
	},
	{
		.name = "xml",
		.summary = "Print a disk as libvirt domain XML",
		.operands = ONE_DISK,
		.flags = FLAG_BIT(FLAG_EXPORT) | FLAG_BIT(FLAG_TARGET),
		.examples = {"forebay disk xml web1",
			     "forebay disk xml web1 --export nbd --target vdb"},
		.run = disk_xml,
	},
	{
		.name = "rescue",
		.summary = "Read a cache file without any daemon",
		.details =
			"ACTION is one of\n"
			"    list     whose it is, and what it holds\n"
			"    check    read everything, compare all check "
			"values\n"
			"    extract  bring its data into an image\n"
			"FILE is a pool's forebay/UUID.cache. It is never "
			"written, and no forebayd is\n"
			"asked. With --base or --in-place only dirty data are "
			"written, else all that\n"
			"the cache has. What can't be given is listed, and "
			"the exit code tells.",
		.operands = {{"ACTION", 0}, {"FILE", 0}},
		.flags = FLAG_BIT(FLAG_TO) | FLAG_BIT(FLAG_BASE) |
			 FLAG_BIT(FLAG_IN_PLACE) | FLAG_BIT(FLAG_DIRTY_ONLY) |
			 FLAG_BIT(FLAG_SALVAGE) | FLAG_BIT(FLAG_FORCE_READ),
		.examples = {"forebay disk rescue list web1.cache",
			     "forebay disk rescue check web1.cache",
			     "forebay disk rescue extract web1.cache --base "
			     "web1.raw --to new.raw",
			     "forebay disk rescue extract web1.cache --to "
			     "web1.raw --in-place"},
		.run = disk_rescue,
	},
};

static const struct verb bench_verbs[] = {
	{
		.summary = "Load a disk as a virtual machine would, and "
			   "measure",
		.details =
			"Give the name of an open disk, or any other server's "
			"socket or URI. Reads\nunless told otherwise; what "
			"destroys data needs --destroy-data. ^C ends the\n"
			"load early, reads back what is to be verified and "
			"shows what was measured;\na second ^C ends the "
			"program. forebay-bench(1) explains what -o json "
			"prints.",
		.operands = {{"DISK", 0, 1}},
		.flags = FLAG_BIT(FLAG_VHOST_USER) | FLAG_BIT(FLAG_NBD) |
			 FLAG_BIT(FLAG_BLOCK_SIZE) | FLAG_BIT(FLAG_DEPTH) |
			 FLAG_BIT(FLAG_QUEUES) | FLAG_BIT(FLAG_READ) |
			 FLAG_BIT(FLAG_FLUSH) | FLAG_BIT(FLAG_FLUSH_EVERY) |
			 FLAG_BIT(FLAG_DISCARD) | FLAG_BIT(FLAG_WRITE_ZEROES) |
			 FLAG_BIT(FLAG_PATTERN) | FLAG_BIT(FLAG_RATE) |
			 FLAG_BIT(FLAG_SECONDS) | FLAG_BIT(FLAG_WARM_UP) |
			 FLAG_BIT(FLAG_REQUESTS) | FLAG_BIT(FLAG_OFFSET) |
			 FLAG_BIT(FLAG_SPAN) | FLAG_BIT(FLAG_MEMORY) |
			 FLAG_BIT(FLAG_NOTIFY) | FLAG_BIT(FLAG_PACKED) |
			 FLAG_BIT(FLAG_SEED) | FLAG_BIT(FLAG_VERIFY) |
			 FLAG_BIT(FLAG_JOURNAL) | FLAG_BIT(FLAG_RECONNECT) |
			 FLAG_BIT(FLAG_DESTROY_DATA),
		.examples = {"forebay bench web1 --depth 32 --seconds 10",
			     "forebay bench --vhost-user /run/vm/vda.sock "
			     "--pattern zipf:1.1",
			     "forebay bench scratch --read 50 --verify "
			     "--destroy-data"},
		.run = bench_run,
	},
};

const struct noun grammar_nouns[] = {
	{"status", "how this host is", status_verbs, COUNT_OF(status_verbs)},
	{"pool", "space on local SSDs for the caches", pool_verbs,
	 COUNT_OF(pool_verbs)},
	{"policy", "filters and properties that disks get", policy_verbs,
	 COUNT_OF(policy_verbs)},
	{"filter", "what is installed on this host", filter_verbs,
	 COUNT_OF(filter_verbs)},
	{"disk", "virtual disks", disk_verbs, COUNT_OF(disk_verbs)},
	{"bench", "load a disk and measure", bench_verbs,
	 COUNT_OF(bench_verbs)},
};

const size_t grammar_noun_count = COUNT_OF(grammar_nouns);

const struct noun *grammar_find_noun(const char *name)
{
	for (size_t i = 0; i < grammar_noun_count; i++) {
		if (strcmp(grammar_nouns[i].name, name) == 0)
			return &grammar_nouns[i];
	}
	return NULL;
}

int grammar_noun_is_command(const struct noun *noun)
{
	return !noun->verbs[0].name;
}

const struct verb *grammar_find_verb(const struct noun *noun, const char *name)
{
	for (size_t i = 0; i < noun->verb_count; i++) {
		if (noun->verbs[i].name &&
		    strcmp(noun->verbs[i].name, name) == 0)
			return &noun->verbs[i];
	}
	return NULL;
}
