/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt_xml.c - fragments of domain XML. Pure.
 *
 * vhost-user: libvirt takes very few elements on such a disk (no serial, no
 * cache, no iotune), and wants the VM's memory shared. NBD: a server that goes
 * away for a moment is an I/O error to the guest on libvirt 9, so the VM is
 * told to stop and wait.
 */
#include "libvirt_xml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TARGET_DEFAULT "vda"

static const char vhost_user_format[] =
	"<!-- The domain needs memory that Forebay can share:\n"
	"     <memoryBacking><source type='memfd'/><access mode='shared'/>"
	"</memoryBacking> -->\n"
	"<disk type='vhostuser' device='disk' snapshot='no'>\n"
	"  <driver name='qemu' type='raw'/>\n"
	"  <source type='unix' path='%s'>\n"
	"    <reconnect enabled='yes' timeout='1'/>\n"
	"  </source>\n"
	"  <target dev='%s' bus='virtio'/>\n"
	"  <alias name='ua-forebay-%s'/>\n"
	"</disk>\n";

static const char nbd_format[] =
	"<disk type='network' device='disk'>\n"
	"  <driver name='qemu' type='raw' cache='none' error_policy='stop'"
	" rerror_policy='stop'/>\n"
	"  <source protocol='nbd' name='%s' tls='no'>\n"
	"    <host transport='unix' socket='%s'/>\n"
	"  </source>\n"
	"  <target dev='%s' bus='virtio'/>\n"
	"%s"
	"  <alias name='ua-forebay-%s'/>\n"
	"</disk>\n";

/* For attributes in single quotes. Returns: whether it fitted. */
static bool escape(const char *text, char *buffer, size_t buffer_bytes)
{
	size_t at = 0;

	for (; *text; text++) {
		const char plain[] = {*text, '\0'};
		const char *word = plain;

		if (*text == '&')
			word = "&amp;";
		else if (*text == '<')
			word = "&lt;";
		else if (*text == '\'')
			word = "&apos;";
		if (at + strlen(word) >= buffer_bytes)
			return false;
		memcpy(buffer + at, word, strlen(word));
		at += strlen(word);
	}
	buffer[at] = '\0';
	return true;
}

static bool is_target(const char *text)
{
	size_t length = strlen(text);

	return length >= 3 && length <= 4 && strncmp(text, "vd", 2) == 0 &&
	       strspn(text + 2, "abcdefghijklmnopqrstuvwxyz") == length - 2;
}

static int refuse_export(const json_t *disk, const char *export,
			 struct problem *problem)
{
	const char *name = json_string_value(json_object_get(disk, "name"));

	if (strcmp(export, "vhost-user-blk") != 0 && strcmp(export, "nbd") != 0)
		return problem_set(problem, PROBLEM_BAD_REQUEST,
				   "parameter export must be vhost-user-blk or "
				   "nbd");
	problem_set(problem, PROBLEM_NO_SUCH_EXPORT, "disk %s has no %s export",
		    name, export);
	return problem_about(problem, "disk", name);
}

int libvirt_xml_render(const json_t *disk, const char *export,
		       const char *target, char **ret_text,
		       struct problem *problem)
{
	const json_t *exports = json_object_get(disk, "exports");
	const char *id = json_string_value(json_object_get(disk, "id"));
	const char *name = json_string_value(json_object_get(disk, "name"));
	/* Of a vhost-user device libvirt doesn't take it: it knows itself. */
	bool read_only = json_is_true(json_object_get(disk, "read_only"));
	const json_t *found;
	char socket[512];
	int length;

	if (!export)
		export = json_object_get(exports, "vhost-user-blk")
				 ? "vhost-user-blk"
				 : "nbd";
	if (!target)
		target = TARGET_DEFAULT;
	if (!is_target(target))
		return problem_set(problem, PROBLEM_BAD_REQUEST,
				   "parameter target must be like vda or vdab");
	found = json_object_get(exports, export);
	if (!found)
		return refuse_export(disk, export, problem);
	if (!escape(json_string_value(json_object_get(found, "socket")), socket,
		    sizeof(socket)))
		return problem_internal(problem, "socket", -ENAMETOOLONG);
	if (strcmp(export, "nbd") == 0)
		length = asprintf(ret_text, nbd_format, name, socket, target,
				  read_only ? "  <readonly/>\n" : "", id);
	else
		length = asprintf(ret_text, vhost_user_format, socket, target,
				  id);
	return length < 0 ? problem_internal(problem, "xml", -ENOMEM) : 0;
}
