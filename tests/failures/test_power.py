# SPDX-License-Identifier: Apache-2.0
"""The power of a whole host fails.

The host is a guest in QEMU, with forebay-cached, forebay-disk and the load. Its
one disk has the file system with cache file, image and sidecar, and behind that
the load's journals; QEMU logs every write and every flush of it. Afterwards the
disk is put together as it was at a flush, plus some of the writes up to the
next one, as a disk without power would have kept them. The file system mends
itself, and a forebay-disk out here opens what is left: everything is there that
the newest journal on that disk says was flushed.

FOREBAY_CUTS says at how many places; FOREBAY_SEED repeats their choice.
"""

import os
import random
import subprocess
import unittest

import nbd

import tap
from bench_journal import Journal, Lost, check
from data_plane import DataPlane
from forebay import find_program, installed_tree
from guest import Guest
from image import e2fs
from spawn import folder
from write_log import entries

CUTS = int(os.environ.get('FOREBAY_CUTS', '8'))
SEED = int(os.environ.get('FOREBAY_SEED', '0')) or random.randrange(1 << 31)
MIB = 1 << 20
FILES_BYTES = 224 * MIB
DISK_BYTES = 32 * MIB
SPAN_BYTES = 16 * MIB
BLOCK_BYTES = 4096
JOURNALS_AT = 256 * MIB
JOURNAL_BYTES = 64 << 10  # room for one
MARK_AT = JOURNALS_AT - BLOCK_BYTES
LOGGED_BYTES = 320 * MIB
RUNS = 8
CACHE = {'mode': 'write-back', 'limit': '64MiB', 'max_dirty_age': '200ms'}
RUN = '''n=$1
forebay bench --nbd "nbd+unix:///d?socket=/tmp/nbd" --journal /tmp/journal \\
 --span {span} --read 10 --flush 2 --write-zeroes 3 --discard 2 --depth 8 \\
 --count {count} --seconds 30 --destroy-data --seed $n >/tmp/out 2>&1 || exit 1
forebay bench --nbd "nbd+unix:///d?socket=/tmp/nbd" --flush 100 --count 1 \\
 --seconds 10 >>/tmp/out 2>&1 || exit 2
dd if=/tmp/journal of=/dev/vda bs=4096 seek=$(({journals} + n * {room})) \\
 oflag=direct conv=sync,notrunc 2>/dev/null || exit 3
printf 'run %08d' $n | dd of=/dev/vda bs=4096 seek={mark} oflag=direct \\
 conv=sync,notrunc 2>/dev/null || exit 4
'''


class PowerLoss(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.random = random.Random(SEED)
        print(f'seed {SEED}')
        prefix = installed_tree()
        self.plane = DataPlane(self.work, DISK_BYTES, CACHE)
        self.addCleanup(self.plane.stop)
        self.guest = Guest(self.work, [], os.environ['GUEST_VERIFY'], cpus=2,
                           memory_mib=512)
        self.guest.programs = [find_program(prefix, name) for name in (
            'forebay', 'forebay-cached', 'forebay-disk')] + [
                self.plane.config['filters'][0]['library']]
        self.guest.files = [
            ('etc/run', RUN.format(
                span=SPAN_BYTES, count=150, mark=MARK_AT // 4096,
                journals=JOURNALS_AT // 4096,
                room=JOURNAL_BYTES // 4096).encode()),
            ('etc/pools.json', self.inside('pools.json')),
            ('etc/disk.json', self.inside('disk.json'))]
        self.addCleanup(self.guest.stop)

    def inside(self, name):
        """A configuration of the host out here, as the guest has it."""
        with open(self.plane.path(name), encoding='utf-8') as file:
            text = file.read()
        for ours, theirs in ((self.plane.pool, '/mnt/pool'),
                             (self.plane.image, '/mnt/image'),
                             (self.plane.config['filters'][0]['library'],
                              '/bin/cache.so'), (self.work, '/tmp')):
            text = text.replace(ours, theirs)
        return text.encode()

    def path(self, name):
        return os.path.join(self.work, name)

    def boot(self):
        for name in ('logged', 'log'):
            with open(self.path(name), 'wb') as file:
                file.truncate(LOGGED_BYTES if name == 'logged' else 0)
        self.guest.launch(
            '-blockdev', 'driver=file,node-name=disk,cache.no-flush=on,'
            f'filename={self.path("logged")}',
            '-blockdev', 'driver=file,node-name=log,cache.no-flush=on,'
            f'filename={self.path("log")}',
            '-blockdev', 'driver=blklogwrites,node-name=logged,file=disk,'
            'log=log,log-sector-size=512', '-device',
            'virtio-blk-pci,drive=logged')
        self.guest.await_ready()

    def run_host(self):
        """The host and its load, until it is switched off."""
        must = self.guest.must
        must(f'mkfs.ext4 -q /dev/vda {FILES_BYTES >> 10}k')
        must('mount -t ext4 /dev/vda /mnt; mkdir /mnt/pool')
        must(f'truncate -s {DISK_BYTES} /mnt/image; sync')
        must('(forebay-cached --config /etc/pools.json --socket /tmp/cached '
             '--control-socket /tmp/cached-control >/tmp/cached.log 2>&1 &)')
        must('while ! test -S /tmp/cached; do sleep 0.1; done')
        must('(forebay-disk --config /etc/disk.json >/tmp/disk.log 2>&1 &)')
        must('i=0; while ! test -S /tmp/nbd; do sleep 0.1; i=$((i+1)); '
             'test $i -lt 100 || { cat /tmp/disk.log /tmp/cached.log; '
             'false; }; done')
        for number in range(RUNS):
            status, output = self.guest.run(
                f'sh /etc/run {number} || {{ echo $?; tail /tmp/out '
                '/tmp/disk.log; false; }', 120)
            self.assertEqual(status, 0, output)
        self.guest.qmp('quit')
        self.guest.process.wait(60)

    def read_log(self):
        """(writes, {index of an entry: number of the run that ended there})"""
        writes = list(entries(self.path('log')))
        runs = {}
        for index, write in enumerate(writes):
            if write.offset == MARK_AT and write.length:
                runs[index] = int(write.data[4:12])
        return writes, runs

    def keep(self, write, file):
        """Of what wasn't flushed, some is there: in part, if it is long."""
        if self.random.random() < 0.5:
            return
        if write.data and self.random.random() < 0.3:
            sectors = self.random.randrange(write.length // 512)
            file.seek(write.offset)
            file.write(write.data[:sectors * 512])
        else:
            write.apply(file)

    def cut(self, writes, done, flush, file):
        """As the disk is when power fails between this flush and the next."""
        for write in writes[done:flush + 1]:
            write.apply(file)
        file.flush()
        subprocess.run(['cp', '--sparse=always', self.path('state'),
                        self.path('cut')], check=True)
        late = []
        for write in writes[flush + 1:]:
            if write.flushes:
                break
            late.append(write)
        with open(self.path('cut'), 'r+b') as copy:
            for write in late[:self.random.randrange(len(late) + 1)]:
                # The load's journals say what was promised: kept whole.
                if write.offset < MARK_AT:
                    self.keep(write, copy)

    def take_out(self, name, to):
        e2fs('debugfs', '-R', f'dump {name} {to}', self.path('cut'))
        self.assertTrue(os.path.exists(to), name)

    def recover(self):
        """What the file system has after its own recovery, opened here."""
        done = e2fs('e2fsck', '-p', self.path('cut'))
        self.assertLess(done.returncode, 4, done.stdout + done.stderr)
        for path in (self.plane.pool + '/forebay', self.plane.image +
                     '.forebay'):
            os.makedirs(path, exist_ok=True)
        self.take_out('/image', self.plane.image)
        self.take_out('/image.forebay/state', self.plane.image +
                      '.forebay/state')
        name = self.plane.config['uuid'] + '.cache'
        self.take_out('/pool/forebay/' + name,
                      os.path.join(self.plane.pool, 'forebay', name))
        self.plane.start()
        client = nbd.NBD()
        client.connect_uri(self.plane.uri)
        data = b''.join(client.pread(MIB, at)
                        for at in range(0, SPAN_BYTES, MIB))
        client.shutdown()
        self.assertEqual(self.plane.close(), 0, self.plane.logs())
        self.plane.stop()
        with open(self.plane.image, 'rb') as image:
            self.assertEqual(image.read(SPAN_BYTES), data)
        return data

    def journal(self, number, writes):
        """As the run @number left it."""
        first = JOURNALS_AT + number * JOURNAL_BYTES
        data = bytearray(JOURNAL_BYTES)
        for write in writes:
            if write.data and first <= write.offset < first + JOURNAL_BYTES:
                at = write.offset - first
                data[at:at + write.length] = write.data
        return Journal(bytes(data))

    def test_everything_flushed_is_there_when_power_returns(self):
        self.boot()
        self.run_host()
        writes, runs = self.read_log()
        self.assertEqual(sorted(runs.values()), list(range(RUNS)))
        journals = [self.journal(number, writes) for number in range(RUNS)]
        begin = min(runs)
        flushes = [index for index, write in enumerate(writes)
                   if write.flushes and begin < index < max(runs)]
        print(f'{len(writes)} writes, {len(flushes)} flushes')
        self.assertGreater(len(flushes), RUNS)
        looked = done = 0
        with open(self.path('state'), 'w+b') as file:
            file.truncate(LOGGED_BYTES)
            for flush in sorted(self.random.sample(
                    flushes, min(CUTS, len(flushes)))):
                self.cut(writes, done, flush, file)
                done = flush + 1
                last = max(number for index, number in runs.items()
                           if index < flush)
                later = min(last + 2, RUNS - 1)
                print(f'cut at {flush} of {len(writes)}, after run {last}')
                data = self.recover()
                looked += check(data, journals[last], journals[later])
                # What was written later is missed, if it is asked for.
                if last + 2 < RUNS:
                    with self.assertRaises(Lost):
                        check(data, journals[-1], journals[-1])
        print(f'{looked} sectors')
        self.assertGreater(looked, 10000)


if __name__ == '__main__':
    tap.main()
