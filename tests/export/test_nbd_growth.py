# SPDX-License-Identifier: Apache-2.0
"""Real clients of a real disk that grows, and whose VM leaves and returns."""

import json
import os
import random
import subprocess
import unittest

import nbd

import spawn
import tap
from nbd_disks import CachedDisk, PlainDisk, VhostShell, run
from nbd_load import Load
from nbd_server import MIB, SECONDS

SIZE_MIB = 64
SECTORS_PER_MIB = 2048
ZONES = [(place * SECTORS_PER_MIB, SECTORS_PER_MIB)
         for place in range(0, SIZE_MIB, 4)]


class Grows:
    """What holds with a cache above the image, and without."""

    kind = None

    def setUp(self):
        self.disk = self.kind(self, SIZE_MIB * MIB)
        self.size = SIZE_MIB * MIB

    def grow(self, count=16):
        self.size += count * MIB
        self.disk.call('resize', {'size_bytes': self.size})
        self.assertEqual(os.stat(self.disk.image).st_size, self.size)

    def connected(self):
        handle = nbd.NBD()
        handle.connect_uri(self.disk.uri)
        return handle

    def stats(self):
        return self.disk.call('stats')['exports']['nbd']

    def test_libnbd_clients_lose_nothing_while_it_grows(self):
        load = Load(self.disk.uri, ZONES, random.Random(5))
        load.connect()
        for _ in range(4):
            load.run(0.3)
            # In flight on both connections, and some not even sent.
            self.assertGreater(len(load.requests), 0)
            self.grow()
        load.run(0.3)
        load.drain()
        # Never hung up on: every promise holds word for word.
        self.assertFalse(load.broken())
        for first, count in ZONES:
            load.journal.check(first, bytes(load.handles[0].pread(
                count * 512, first * 512)))
        self.assertEqual(self.stats()['connections_total'], 2)
        load.disconnect()

    def test_qemu_img_goes_on_at_its_size_and_the_next_sees_the_new_one(self):
        bench = subprocess.Popen(
            ['qemu-img', 'bench', '-f', 'raw', '-w', '-c', '60000', '-d',
             '32', '-s', '4096', '--flush-interval=50', self.disk.uri],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=spawn.die_with_parent)
        self.addCleanup(bench.kill)
        grown = 0
        while bench.poll() is None and grown < 8:
            before = self.disk.call('stats')['requests']['write']['count']
            spawn.wait_until(
                lambda: bench.poll() is not None or self.disk.call('stats')
                ['requests']['write']['count'] > before + 200, SECONDS,
                'writes')
            self.grow()
            grown += 1
        output, _ = bench.communicate(timeout=6 * SECONDS)
        self.assertEqual(bench.returncode, 0, output)
        self.assertGreaterEqual(grown, 2)
        info = json.loads(run('qemu-img', 'info', '--output=json', '-f', 'raw',
                              self.disk.uri))
        self.assertEqual(info['virtual-size'], self.size)

    def test_old_and_new_clients_have_each_their_size(self):
        old = self.connected()
        old.pwrite(b'o' * MIB, self.size - MIB)
        before = self.size
        self.grow()
        self.assertEqual(old.get_size(), before)
        self.assertEqual(old.pread(MIB, before - MIB), b'o' * MIB)
        # libnbd itself would refuse what is beyond.
        old.set_strict_mode(0)
        for beyond in (lambda: old.pread(512, before),
                       lambda: old.pwrite(bytes(512), before)):
            with self.assertRaises(nbd.Error):
                beyond()
        new = self.connected()
        self.assertEqual(new.get_size(), self.size)
        new.pwrite(b'n' * MIB, self.size - MIB)
        new.flush()
        self.assertEqual(new.pread(2 * MIB, before - MIB),
                         b'o' * MIB + bytes(MIB))
        # It may still flush for all, and its own range is its.
        old.flush()
        old.pwrite(b'p' * MIB, before - MIB)
        self.assertEqual(new.pread(MIB, before - MIB), b'p' * MIB)

    def test_clients_wait_while_the_vm_is_elsewhere(self):
        guest = VhostShell(self, self.disk.vhost_socket)
        self.assertEqual(guest.ask('write 0 65536 7'), [0])
        client = self.connected()
        client.pwrite(b'c' * 65536, 65536)
        self.assertEqual(guest.ask('leave'), [0])
        self.assertEqual(self.disk.call('status')['state'], 'handed-over')
        with open(self.disk.image, 'rb') as image:
            self.assertEqual(image.read(131072),
                             b'\7' * 65536 + b'c' * 65536)
        buffer = nbd.Buffer(65536)
        cookie = client.aio_pread(buffer, MIB)
        # The other host writes where nobody here has looked.
        with open(self.disk.image, 'r+b') as image:
            image.seek(MIB)
            image.write(b'e' * 65536)
        for _ in range(10):
            client.poll(10)
        self.assertFalse(client.aio_command_completed(cookie))
        # The migration has failed, or it was there and came back.
        self.assertEqual(guest.ask('return'), [0])
        while not client.aio_command_completed(cookie):
            client.poll(1000)
        self.assertEqual(buffer.to_bytearray(), b'e' * 65536)
        self.assertEqual(guest.ask('read 65536 65536'), [0, ord('c')])
        self.assertEqual(self.disk.call('status')['state'], 'ready')
        self.assertEqual(self.stats()['connections_total'], 1)

    def test_clients_of_a_disk_that_has_left_end_with_its_close(self):
        guest = VhostShell(self, self.disk.vhost_socket)
        client = self.connected()
        self.assertEqual(guest.ask('leave'), [0])
        cookie = client.aio_pread(nbd.Buffer(512), 0)
        client.poll(10)
        self.disk.call('close', {'drain': True})
        self.assertEqual(self.disk.disk.wait(SECONDS), 0)
        with self.assertRaises(nbd.Error):
            while not client.aio_command_completed(cookie):
                client.poll(1000)


class GrowsPlain(Grows, unittest.TestCase):
    kind = PlainDisk


class GrowsCached(Grows, unittest.TestCase):
    kind = CachedDisk


if __name__ == '__main__':
    tap.main()
