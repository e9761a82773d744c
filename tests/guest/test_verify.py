# SPDX-License-Identifier: Apache-2.0
"""guest-verify on a file of this host: what it finds, and whom it accuses."""

import os
import re
import signal
import unittest

import spawn
import tap

VERIFY = os.environ['GUEST_VERIFY']
MIB = 1 << 20
REGION = 64 * MIB
CHUNK = 64 << 10
TABLE_BYTES = REGION // 512 * 4
SECONDS = 30


class Verify(unittest.TestCase):

    def setUp(self):
        self.folder = spawn.folder(self)
        self.image = os.path.join(self.folder, 'image')
        with open(self.image, 'wb') as file:
            file.truncate(REGION)

    def begin(self, seconds):
        process = spawn.Process(
            [VERIFY, self.image, '0', str(REGION), str(seconds), '7', '4'],
            os.path.join(self.folder, 'out'))
        self.addCleanup(process.kill)
        # Some of the disk has been written.
        spawn.wait_until(lambda: os.stat(self.image).st_blocks * 512 > 4 * MIB,
                         SECONDS, 'writes')
        return process

    def test_what_is_read_back_rightly_is_ok(self):
        process = self.begin(1)
        self.assertEqual(process.wait(SECONDS), 0, process.output())
        self.assertRegex(process.output(), r'^VERIFY ok reads=\d+')

    def test_an_interrupt_ends_it_and_what_was_written_is_read(self):
        process = self.begin(3600)
        process.popen.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(SECONDS), 0, process.output())
        reads = re.search(r'^VERIFY ok reads=(\d+)', process.output())[1]
        self.assertGreaterEqual(int(reads), REGION // CHUNK)

    def test_what_the_disk_has_lost_is_the_disks_failure(self):
        process = self.begin(2)
        with open(self.image, 'r+b') as file:
            file.write(bytes(REGION))
        self.assertEqual(process.wait(SECONDS), 1, process.output())
        self.assertRegex(process.output(), r'^VERIFY failed sector \d+: zeros')

    def first_table(self, pid):
        """Where it is: mmap() goes downwards, so above the other one."""
        with open(f'/proc/{pid}/maps', encoding='utf-8') as file:
            for line in file:
                words = line.split()
                start, end = (int(word, 16) for word in words[0].split('-'))
                if words[1].startswith('rw') and (
                        2 * TABLE_BYTES <= end - start
                        < 2 * TABLE_BYTES + MIB):
                    return (start + end) // 2
        return self.fail('no mapping of that size')

    def test_a_witness_whose_memory_went_back_accuses_nobody(self):
        process = self.begin(2)
        pid = process.popen.pid
        table = self.first_table(pid)
        with open(f'/proc/{pid}/mem', 'r+b', buffering=0) as memory:
            # Nothing was ever written to half of the disk, it says.
            memory.seek(table + TABLE_BYTES // 4)
            memory.write(bytes(TABLE_BYTES // 2))
        self.assertEqual(process.wait(SECONDS), 2, process.output())
        self.assertRegex(process.output(), r'^VERIFY void memory: sector \d+')


if __name__ == '__main__':
    tap.main()
