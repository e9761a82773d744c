# SPDX-License-Identifier: Apache-2.0
"""Discards and zeroes through a cache: kill -9, destage, the holes below."""

import os
import unittest

import nbd

import tap
from forebay import Host

MIB = 1 << 20
SIZE = 256 * MIB
DATA = bytes(range(1, 256)) * 4113 + b'!'


class Zeroing(unittest.TestCase):

    def setUp(self):
        self.host = Host.with_pool(self)
        self.work = self.host.root

    def open(self, mode):
        self.host.policy(mode, ('cache', {'mode': mode, 'limit': '64MiB',
                                          'max_dirty_age': '1h'}))
        self.host.cli('disk', 'create', mode, '--backend',
                      'file:' + self.image(mode), '--size', SIZE, '--policy',
                      mode)
        self.host.cli('disk', 'open', mode)

    def image(self, name):
        return os.path.join(self.work, name + '.raw')

    def connect(self, name):
        client = nbd.NBD()
        client.connect_uri(self.host.disk(name)['exports']['nbd']['uri'])
        return client

    def fill(self, name):
        """4 MiB of data, on the backend."""
        client = self.connect(name)
        for at in range(0, 4 * MIB, MIB):
            client.pwrite(DATA[:MIB], at)
        self.host.cli('disk', 'flush', name)
        return client

    def check(self, name):
        """What stands there after zero() and discard()."""
        client = self.connect(name)
        self.assertTrue(client.pread(MIB, 0) == DATA[:512] +
                        bytes(MIB - 512), 'the first MiB')
        self.assertTrue(client.pread(MIB, MIB) == bytes(MIB - 8192) + b'n' *
                        4096 + bytes(4096), 'the second MiB')
        self.assertTrue(client.pread(MIB, 2 * MIB) == DATA[:MIB],
                        'the third MiB')
        self.assertTrue(client.pread(MIB, 3 * MIB) == bytes(MIB),
                        'the fourth MiB')
        self.assertTrue(client.pread(MIB, 200 * MIB) == bytes(MIB))

    def test_what_was_zeroed_or_discarded_is_so_after_a_kill_and_below(self):
        for mode in ('write-back', 'write-through', 'write-around'):
            with self.subTest(mode=mode):
                self.open(mode)
                client = self.fill(mode)
                client.zero(2 * MIB - 512, 512, nbd.CMD_FLAG_NO_HOLE)
                client.trim(MIB, 3 * MIB)
                # Longer than a part: it goes below before it is answered.
                client.trim(200 * MIB, 30 * MIB)
                client.pwrite(b'n' * 4096, 2 * MIB - 8192)
                self.host.kill_disk(mode)
                self.check(mode)
                self.host.cli('disk', 'flush', mode)
                self.check(mode)
                self.host.kill_disk(mode)
                self.check(mode)
                with open(self.image(mode), 'rb') as image:
                    image.seek(3 * MIB)
                    self.assertTrue(image.read(MIB) == bytes(MIB))

    def test_the_space_of_what_is_discarded_is_given_back(self):
        self.open('write-back')
        self.fill('write-back')
        client = self.connect('write-back')
        before = os.stat(self.image('write-back')).st_blocks
        client.zero(MIB, 0, nbd.CMD_FLAG_NO_HOLE)
        self.host.cli('disk', 'flush', 'write-back')
        self.assertEqual(os.stat(self.image('write-back')).st_blocks, before)
        client.trim(2 * MIB, 2 * MIB)
        status = self.host.cache_status('write-back')
        self.assertEqual(status['dirty_zero_bytes'], 2 * MIB)
        self.assertEqual(status['zeroed_bytes'], 3 * MIB)
        self.host.cli('disk', 'flush', 'write-back')
        self.assertLess(os.stat(self.image('write-back')).st_blocks, before)
        self.assertEqual(
            self.host.cache_status('write-back')['dirty_bytes'], 0)


if __name__ == '__main__':
    tap.main()
