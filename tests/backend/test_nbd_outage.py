# SPDX-License-Identifier: Apache-2.0
"""The server below a disk dies, hangs, comes back, or comes back as another."""

import json
import os
import random
import shutil
import subprocess
import time
import unittest

import nbd

import spawn
import tap
from data_plane import DataPlane
from disk_process import MIB, Disk, pattern
from nbd_load import Load
from nbd_server_process import (make_qcow2, make_raw, nbdkit, storage_daemon)
from sector_journal import SECTOR

SIZE = 16 * MIB
SECONDS = 60
HOLD_SECONDS = 5


class Case(unittest.TestCase):

    def setUp(self):
        for tool in ('nbdkit', 'qemu-storage-daemon'):
            if not shutil.which(tool):
                self.skipTest(f'{tool} is not installed')
        seed = int.from_bytes(os.urandom(4), 'little')
        self.random = random.Random(seed)
        print(f'# seed {seed}')

    def file_disk(self, *filters, parameters=()):
        """A disk over a raw file behind nbdkit, both running."""
        disk = Disk(self, size=SIZE)
        self.raw = make_raw(disk.path('raw'), SIZE)
        self.server = nbdkit(self, disk.folder, *filters, 'file',
                             self.raw, *parameters).start()
        disk.config['backend'] = self.server.uri
        return disk.start_ready()

    def wait_state(self, disk, state):
        spawn.wait_until(
            lambda: disk.call('stats')['backend']['state'] == state, SECONDS,
            state)

    def finish(self, handle, *cookies):
        deadline = time.monotonic() + SECONDS
        for cookie in cookies:
            while not handle.aio_command_completed(cookie):
                self.assertLess(time.monotonic(), deadline, 'no answer')
                handle.poll(100)


class Outage(Case):

    def test_requests_wait_for_a_server_that_is_gone(self):
        disk = self.file_disk()
        handle = disk.nbd()
        handle.pwrite(pattern(1), 0)
        handle.flush()
        self.server.kill()
        self.wait_state(disk, 'reconnecting')
        read = nbd.Buffer(4096)
        cookies = [
            handle.aio_pread(read, 0),
            handle.aio_pwrite(nbd.Buffer.from_bytearray(
                bytearray(pattern(2))), 8192),
        ]
        spawn.wait_until(
            lambda: disk.call('stats')['backend']['waiting'] == 2, SECONDS,
            'both requests wait')
        backend = disk.call('stats')['backend']
        self.assertGreaterEqual(backend['losses'], 1)
        self.assertNotEqual(backend['reason'], '')
        self.server.start()
        self.finish(handle, *cookies)
        self.assertEqual(bytes(read.to_bytearray()), pattern(1))
        self.assertEqual(handle.pread(4096, 8192), pattern(2))
        self.wait_state(disk, 'connected')
        self.assertEqual(disk.call('stats')['backend_errors'], 0)

    def test_what_was_in_flight_when_it_died_is_issued_again(self):
        disk = self.file_disk('--filter=delay',
                              parameters=['wdelay=300ms'])
        handle = disk.nbd()
        cookies = [handle.aio_pwrite(nbd.Buffer.from_bytearray(
            bytearray(pattern(number))), number * 4096)
            for number in range(32)]
        handle.poll(50)
        self.server.kill()
        self.server.start()
        self.finish(handle, *cookies)
        for number in range(32):
            self.assertEqual(handle.pread(4096, number * 4096),
                             pattern(number))

    def test_a_server_that_stands_still_only_takes_its_time(self):
        disk = self.file_disk()
        handle = disk.nbd()
        handle.pwrite(pattern(1), 0)
        self.server.freeze()
        cookies = [
            handle.aio_pwrite(nbd.Buffer.from_bytearray(
                bytearray(pattern(2))), 0),
            handle.aio_flush(),
        ]
        until = time.monotonic() + 3
        while time.monotonic() < until:
            handle.poll(100)
        self.assertFalse(handle.aio_command_completed(cookies[0]))
        self.server.thaw()
        self.finish(handle, *cookies)
        self.assertEqual(handle.pread(4096, 0), pattern(2))
        backend = disk.call('stats')['backend']
        self.assertEqual((backend['losses'], backend['state']),
                         (0, 'connected'))

    def test_a_newer_write_waits_for_the_late_one(self):
        disk = self.file_disk('--filter=delay', parameters=['wdelay=1'])
        handle = disk.nbd()
        old = handle.aio_pwrite(nbd.Buffer.from_bytearray(
            bytearray(pattern(1))), 0)
        handle.poll(100)
        self.server.kill()
        self.server.start()
        start = time.monotonic()
        elsewhere = handle.aio_pwrite(nbd.Buffer.from_bytearray(
            bytearray(pattern(3))), 8192)
        self.finish(handle, old)
        newer = handle.aio_pwrite(nbd.Buffer.from_bytearray(
            bytearray(pattern(2))), 0)
        self.finish(handle, elsewhere)
        self.assertEqual(handle.pread(4096, 0), pattern(1))
        self.assertFalse(handle.aio_command_completed(newer))
        self.finish(handle, newer)
        self.assertGreaterEqual(time.monotonic() - start, HOLD_SECONDS - 1)
        self.assertEqual(handle.pread(4096, 0), pattern(2))

    def test_a_flush_does_not_hide_what_the_server_forgot(self):
        disk = self.file_disk()
        handle = disk.nbd()
        handle.pwrite(pattern(1), 0)
        self.server.kill()
        self.server.start()
        handle.pread(512, 0)
        with self.assertRaises(nbd.Error) as raised:
            handle.flush()
        self.assertEqual(raised.exception.errnum, 5)
        self.assertIn('not flushed', disk.process.output())
        # Once: who heard it has sent everything again, or has given up.
        handle.pwrite(pattern(1), 0)
        handle.flush()

    def test_a_flush_after_an_outage_is_a_flush_if_nothing_was_at_stake(self):
        disk = self.file_disk()
        handle = disk.nbd()
        handle.pwrite(pattern(1), 0)
        handle.flush()
        self.server.kill()
        self.server.start()
        handle.flush()
        handle.pwrite(pattern(2), 0)
        handle.flush()

    def test_an_export_that_has_shrunk_is_not_used(self):
        disk = self.file_disk()
        handle = disk.nbd()
        handle.pwrite(pattern(1), 0)
        handle.flush()
        self.server.kill()
        os.truncate(self.raw, SIZE // 2)
        self.server.start()
        cookie = handle.aio_pread(nbd.Buffer(4096), 0)
        spawn.wait_until(
            lambda: 'shrunk' in disk.call('stats')['backend']['reason'],
            SECONDS, 'the reason')
        self.assertFalse(handle.aio_command_completed(cookie))
        self.server.kill()
        os.truncate(self.raw, SIZE)
        self.server.start()
        self.finish(handle, cookie)

    def test_a_disk_waits_for_its_server_when_it_opens(self):
        disk = Disk(self, size=SIZE)
        server = nbdkit(self, disk.folder, 'memory', str(SIZE))
        disk.config['backend'] = server.uri
        disk.start()
        while True:
            state = disk.next_state()
            self.assertEqual(state['state'], 'opening', state)
            if 'waiting for the NBD server' in state['reason']:
                break
        server.start()
        while disk.next_state()['state'] != 'ready':
            pass
        self.assertEqual(disk.nbd().pread(512, 0), bytes(512))


class Journalled(Case):
    """Verified by a journal of its own while servers die under the load."""

    def load_while_it_dies(self, load, server, rounds):
        load.connect()
        for _ in range(rounds):
            load.run(0.4)
            server.kill()
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                load.poll(10)
                load.reap()
            server.start()
            load.run(1)
        load.drain()
        load.handles[0].flush()
        load.disconnect()

    def kill_and_verify(self, plane, server, rounds):
        plane.start()
        self.addCleanup(plane.stop)
        load = Load(plane.uri, [(0, SIZE // SECTOR)], self.random)
        try:
            self.load_while_it_dies(load, server, rounds)
        except nbd.Error:
            print(plane.logs())
            raise
        self.assertEqual(plane.close(), 0, plane.logs())
        server.process.stop()
        return load

    def plane(self, folder, server):
        plane = DataPlane(folder, SIZE, {
            'mode': 'write-back', 'limit': '64MiB', 'max_dirty_age': '100ms'})
        with open(plane.path('disk.json'), encoding='utf-8') as file:
            config = json.load(file)
        config['backend'] = server.uri
        plane.write_json('disk.json', config)
        return plane

    def test_a_write_back_cache_writes_again_what_the_server_forgot(self):
        """nbdkit's cache filter loses all that wasn't flushed."""
        folder = spawn.folder(self)
        raw = make_raw(os.path.join(folder, 'raw'), SIZE)
        server = nbdkit(self, folder, '--filter=cache', 'file', raw,
                        'cache=writeback').start()
        load = self.kill_and_verify(self.plane(folder, server), server, 3)
        load.check_image(raw)

    def test_a_cached_disk_over_qcow2_survives_its_server(self):
        folder = spawn.folder(self)
        image = os.path.join(folder, 'q.qcow2')
        make_qcow2(image, SIZE)
        server = storage_daemon(self, folder, image).start()
        load = self.kill_and_verify(self.plane(folder, server), server, 3)
        raw = os.path.join(folder, 'raw')
        subprocess.run(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw',
                        image, raw], check=True)
        load.check_image(raw)


if __name__ == '__main__':
    tap.main(at_once=4)
