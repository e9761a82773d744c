# SPDX-License-Identifier: Apache-2.0
"""Filters that change data: what lies below them is theirs, what the VM has
stays as it is. With real requests, and more of them than there is memory."""

import os
import unittest

import nbd

import tap
from disk_process import MIB, Disk, filter_entry, pattern

TURNED = bytes(byte ^ 0x5a for byte in range(256))


def image(disk, length, offset=0):
    with open(disk.image, 'rb') as file:
        file.seek(offset)
        return file.read(length)


class Copies(unittest.TestCase):

    def test_below_the_filter_lies_what_it_made_of_the_data(self):
        disk = Disk(self, [filter_entry('null'),
                           filter_entry('xor')]).start_ready()
        handle = disk.nbd()
        handle.pwrite(pattern(1, 65536), 8192)
        handle.flush()
        self.assertEqual(image(disk, 65536, 8192),
                         pattern(1, 65536).translate(TURNED))
        self.assertEqual(handle.pread(65536, 8192), pattern(1, 65536))

    def test_a_stable_copy_is_counted_as_copied(self):
        disk = Disk(self, [filter_entry('xor')]).start_ready()
        handle = disk.nbd()
        handle.pwrite(pattern(1, MIB), 0)
        handle.pread(MIB, 0)
        # The NBD export copies the ends of what it receives.
        copied = disk.call('stats')['copied_bytes']
        self.assertGreaterEqual(copied, MIB)
        self.assertLess(copied, MIB + 65536)

    def test_a_filters_metrics_stand_in_its_status(self):
        disk = Disk(self, [filter_entry('xor')]).start_ready()
        handle = disk.nbd()
        for length in (512, 4096, 4096, 4608):
            handle.pread(length, 0)
        document = disk.call('stats')['filters'][0]
        metrics = {entry['name']: entry for entry in document['metrics']}
        self.assertEqual(metrics['turned']['value'], 13312)
        self.assertEqual(metrics['under_way']['value'], 0)
        size = metrics['read_size']
        self.assertEqual((size['count'], size['sum']), (4, 13312))
        # What is as large as the bound belongs to it.
        self.assertEqual({bound: count for bound, count in size['buckets']
                          if bound in (512, 2048, 4096, 8192)},
                         {512: 1, 2048: 1, 4096: 3, 8192: 4})
        time = metrics['read_time']
        self.assertEqual(time['count'], 4)
        self.assertGreater(time['sum'], 0)
        self.assertLess(time['sum'], 60)

    def test_buffers_of_the_arena_come_back(self):
        disk = Disk(self, [filter_entry('xor')]).start_ready()
        handle = disk.nbd()
        for number in range(64):
            handle.pread(4 * MIB, number * MIB % (32 * MIB))
        self.assertEqual(disk.call('stats')['filters'][0]['arena_bytes'], 0)

    def test_large_writes_are_worked_on_by_other_threads(self):
        disk = Disk(self, [filter_entry('xor')]).start_ready()
        handle = disk.nbd()
        handle.pwrite(pattern(5, 4096), 0)
        tasks = f'/proc/{disk.process.pid}/task'
        before = len(os.listdir(tasks))
        handle.pwrite(pattern(5, MIB), MIB)
        handle.flush()
        self.assertEqual(image(disk, MIB, MIB),
                         pattern(5, MIB).translate(TURNED))
        self.assertGreater(len(os.listdir(tasks)), before)

    def test_two_of_them_in_one_chain_undo_each_other(self):
        disk = Disk(self, [filter_entry('xor'),
                           filter_entry('xor-upper')]).start_ready()
        handle = disk.nbd()
        handle.pwrite(pattern(3, MIB), MIB)
        handle.flush()
        self.assertEqual(image(disk, MIB, MIB), pattern(3, MIB))
        self.assertEqual(handle.pread(MIB, MIB), pattern(3, MIB))

    def test_zeroes_of_a_filter_without_them_pass_through_copies(self):
        disk = Disk(self, [filter_entry('xor')]).start_ready()
        handle = disk.nbd()
        handle.zero(4 * MIB, MIB)
        self.assertEqual(image(disk, 4 * MIB, MIB), b'\x5a' * (4 * MIB))
        self.assertEqual(handle.pread(4 * MIB, MIB), bytes(4 * MIB))

    def test_many_large_writes_wait_for_memory_and_all_end(self):
        disk = Disk(self, [filter_entry('xor'), filter_entry('xor-upper')],
                    size=256 * MIB).start_ready()
        handles = [disk.nbd() for _ in range(4)]
        pieces = [(handle, number, 16 * MIB * number)
                  for number, handle in enumerate(handles * 4)]
        waiting = []
        for handle, number, offset in pieces:
            buffer = nbd.Buffer.from_bytearray(
                bytearray(pattern(number, 16 * MIB)))
            waiting.append((handle, handle.aio_pwrite(buffer, offset)))
        for handle, cookie in waiting:
            while not handle.aio_command_completed(cookie):
                handle.poll(-1)
        handles[0].flush()
        for _, number, offset in pieces:
            self.assertEqual(image(disk, 16 * MIB, offset),
                             pattern(number, 16 * MIB))


if __name__ == '__main__':
    tap.main()
