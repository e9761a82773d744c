# SPDX-License-Identifier: Apache-2.0
"""Dirty data rot on the SSD: nobody gets older ones, and what is lost is told."""

import glob
import os
import unittest

import nbd

import tap
from forebay import Host

BLOCK = 4096
MIB = 1 << 20
# Offsets of what is spoilt: two blocks side by side, and one elsewhere.
SPOILT = (5 * MIB, 5 * MIB + BLOCK, 9 * MIB)


class Loss(unittest.TestCase):

    def setUp(self):
        self.host = Host.with_pool(self)
        self.work = self.host.root
        self.host.policy('gold', ('cache', {
            'mode': 'write-back', 'limit': '64MiB', 'max_dirty_age': '1h'}))
        self.host.cli('disk', 'create', 'd1', '--backend',
                      'file:' + os.path.join(self.work, 'd1.raw'), '--size',
                      '16MiB', '--policy', 'gold')
        self.host.cli('disk', 'open', 'd1')
        self.client = nbd.NBD()
        self.client.connect_uri(self.host.disk('d1')['exports']['nbd']['uri'])

    def spoil(self):
        """Writes, and then another byte where that stands on the SSD."""
        marks = [os.urandom(32) for _ in SPOILT]
        for offset, mark in zip(SPOILT, marks):
            self.client.pwrite(mark * (BLOCK // 32), offset)
        self.client.flush()
        # What comes later says that this was durable: else a start would take
        # it for the end of a log that was torn.
        self.client.pwrite(b'k' * BLOCK, 12 * MIB)
        self.client.flush()
        path, = glob.glob(os.path.join(self.work, '**', '*.cache'),
                          recursive=True)
        with open(path, 'r+b') as file:
            content = file.read()
            for mark in marks:
                at = content.find(mark)
                self.assertGreater(at, 0)
                file.seek(at)
                file.write(bytes([mark[0] ^ 1]))
            file.flush()
            os.fsync(file.fileno())

    def lost(self):
        return self.host.disk('d1')['lost']

    def assert_unreadable(self, offset):
        with self.assertRaises(nbd.Error):
            self.client.pread(BLOCK, offset)

    def test_what_is_lost_is_told_with_its_ranges_until_it_is_overwritten(self):
        self.assertEqual(self.lost(),
                         {'bytes': 0, 'more': False, 'ranges': []})
        self.spoil()
        for offset in SPOILT:
            self.assert_unreadable(offset)
        self.assertEqual(self.lost(), {
            'bytes': 3 * BLOCK, 'more': False, 'ranges': [
                {'offset': SPOILT[0], 'length': 2 * BLOCK},
                {'offset': SPOILT[2], 'length': BLOCK}]})
        shown = self.host.cli('disk', 'show', 'd1')
        self.assertIn('Lost on the SSD', shown)
        self.assertIn(f'{BLOCK} bytes at {SPOILT[2]}', shown)
        self.assertIn(f'lost: {BLOCK} bytes at {SPOILT[2]}', self.host.logs())
        self.assertIn(
            f'filter cache: {3 * BLOCK} bytes can\'t be read from the SSD: '
            f'{2 * BLOCK} at {SPOILT[0]}, {BLOCK} at {SPOILT[2]}',
            self.host.cli('disk', 'history', 'd1'))
        # The rest of the disk goes on.
        self.assertEqual(self.client.pread(BLOCK, 12 * MIB), b'k' * BLOCK)
        self.client.pwrite(b'n' * 2 * BLOCK, SPOILT[0])
        self.assertEqual(self.client.pread(BLOCK, SPOILT[1]), b'n' * BLOCK)
        self.assertEqual(self.lost()['ranges'], [
            {'offset': SPOILT[2], 'length': BLOCK}])
        self.client.pwrite(b'n' * BLOCK, SPOILT[2])
        self.assertEqual(self.lost()['bytes'], 0)
        self.assertNotIn('Lost', self.host.cli('disk', 'show', 'd1'))
        self.client.shutdown()
        self.host.cli('disk', 'close', 'd1')

    def test_what_is_lost_stays_so_over_a_kill(self):
        self.spoil()
        self.assert_unreadable(SPOILT[0])
        self.host.kill_disk('d1')
        self.client = nbd.NBD()
        self.client.connect_uri(self.host.disk('d1')['exports']['nbd']['uri'])
        for offset in SPOILT:
            self.assert_unreadable(offset)
        self.assertEqual(self.lost()['bytes'], 3 * BLOCK)


if __name__ == '__main__':
    tap.main()
