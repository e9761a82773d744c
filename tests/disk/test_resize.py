# SPDX-License-Identifier: Apache-2.0
"""A disk that grows, and what becomes of its clients when it can't."""

import fcntl
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import unittest

import nbd

import spawn
import tap
from disk_process import LOAD, MIB, SECONDS, Disk, Refused, filter_entry

SIZE = 16 * MIB
LARGER = 24 * MIB
DATA = b'a' * 65536
DATA_OFFSET = 8 * MIB
# "Someone doesn't share writing": see src/backend/image_lock.c.
UNSHARED_WRITE = 201


class Scene(unittest.TestCase):

    def make_disk(self, backend=None):
        self.disk = Disk(self, [filter_entry('null')], size=SIZE)
        if backend:
            self.disk.config['backend'] = backend
        self.disk.start_ready()
        self.client = self.disk.nbd()
        self.client.pwrite(DATA, DATA_OFFSET)
        self.client.flush()

    def call(self, method, **params):
        """On a connection of its own: there may be few at a time."""
        with self.disk.connect() as link:
            return self.disk.call(method, link, **params)

    def ask(self):
        """Asks for a resize; answer() has what comes of it."""
        link = self.disk.connect()
        link.send(json.dumps({'id': 1, 'method': 'resize', 'params':
                              {'size_bytes': LARGER}}).encode())
        return link

    def answer(self, link):
        """None, or why it was refused."""
        answer = json.loads(link.recv(1 << 16))
        return answer.get('error', {}).get('message')

    def wait_reason(self, words):
        def says():
            status = self.call('status')
            return status['state'] == 'resizing' and words in status['reason']
        spawn.wait_until(says, SECONDS, f'it waits because of {words!r}')

    def wait_again(self, words):
        """It has tried again, and waits for the same."""
        self.wait_reason(words)
        path = self.disk.path('log')
        with open(path, encoding='utf-8') as log:
            self.assertEqual(log.read().count('its clients wait'), 1)

    def begin_read(self):
        """A request of a client that isn't answered now."""
        cookie = self.client.aio_pread(nbd.Buffer(512), 0)
        for _ in range(5):
            self.client.poll(10)
        self.assertFalse(self.client.aio_command_completed(cookie))
        return cookie

    def check_served(self, cookie, size):
        while not self.client.aio_command_completed(cookie):
            self.client.poll(1000)
        self.assertEqual(self.client.pread(len(DATA), DATA_OFFSET), DATA)
        self.assertEqual(self.call('status')['state'], 'ready')
        self.assertEqual(self.call('stats')['size_bytes'], size)
        other = self.disk.nbd()
        self.assertEqual(other.get_size(), size)
        other.pwrite(b'e' * 512, size - 512)
        self.assertEqual(other.pread(512, size - 512), b'e' * 512)
        self.assertTrue(self.disk.process.alive())


class Image(Scene):

    def setUp(self):
        self.make_disk()

    def take_away(self):
        """What a device is like that has gone: it has no size."""
        os.truncate(self.disk.image, 0)

    def bring_back(self):
        with open(self.disk.image, 'r+b') as image:
            image.truncate(SIZE)
            image.seek(DATA_OFFSET)
            image.write(DATA)

    def test_whoever_takes_the_lock_meanwhile_is_waited_for(self):
        """Set while nobody looks, it is seen when the disk opens again."""
        with open(self.disk.image, 'rb') as other:
            fcntl.fcntl(other, fcntl.F_OFD_SETLK, struct.pack(
                'hhqqi4x', fcntl.F_RDLCK, os.SEEK_SET, UNSHARED_WRITE, 1, 0))
            link = self.ask()
            self.wait_reason('image ' + self.disk.image)
            cookie = self.begin_read()
            self.assertEqual(select.select([link], [], [], 0.05)[0], [])
        self.assertIsNone(self.answer(link))
        self.check_served(cookie, LARGER)

    def test_an_image_that_is_away_is_waited_for(self):
        self.take_away()
        link = self.ask()
        self.wait_reason('is empty')
        cookie = self.begin_read()
        self.assertEqual(select.select([link], [], [], 1.2)[0], [])
        self.wait_again('is empty')
        self.bring_back()
        self.assertIsNone(self.answer(link))
        self.check_served(cookie, LARGER)

    def test_a_guest_waits_too(self):
        load = spawn.Process(
            [LOAD, 'bench', '--vhost-user', self.disk.path('vhost'),
             '--depth', '8', '--read', '0', '--span', '4MiB', '--seconds',
             '60', '--destroy-data', '--verify'],
            os.path.join(self.disk.folder, 'load'))
        self.addCleanup(load.kill)

        def writes():
            return self.call('stats')['requests']['write']['count']

        spawn.wait_until(lambda: writes() > 100, SECONDS, 'writes')
        with open(self.disk.image, 'rb') as other:
            fcntl.fcntl(other, fcntl.F_OFD_SETLK, struct.pack(
                'hhqqi4x', fcntl.F_RDLCK, os.SEEK_SET, UNSHARED_WRITE, 1, 0))
            link = self.ask()
            self.wait_reason('image ' + self.disk.image)
        self.assertIsNone(self.answer(link))
        spawn.wait_until(lambda: writes() > 100, SECONDS, 'writes again')
        self.assertTrue(load.alive(), load.output())
        load.popen.send_signal(signal.SIGINT)
        self.assertEqual(load.wait(SECONDS), 0, load.output())

    def test_a_process_that_waits_can_be_ended_but_not_drained(self):
        self.take_away()
        self.ask()
        self.wait_reason('is empty')
        with self.assertRaisesRegex(Refused, 'db1 is resizing'):
            self.call('close', drain=True)
        self.assertEqual(self.disk.process.stop(SECONDS), 0)
        self.bring_back()
        self.disk.start_ready()
        self.assertEqual(self.disk.nbd().pread(len(DATA), DATA_OFFSET), DATA)


class Device(Scene):
    """A block device, whose size is for others to change."""

    def setUp(self):
        self.backing = os.path.join(spawn.folder(self), 'backing')
        self.resize_backing(SIZE)
        done = subprocess.run(
            ['losetup', '-f', '--show', self.backing], text=True, check=False,
            capture_output=True) if shutil.which('losetup') else None
        if not done or done.returncode != 0:
            self.skipTest('no loop device can be made here')
        self.device = done.stdout.strip()
        self.addCleanup(subprocess.run, ['losetup', '-d', self.device],
                        check=True)
        self.make_disk('file:' + self.device)
        # Before the device is given back.
        self.addCleanup(self.disk.process.kill)

    def resize_backing(self, size):
        with open(self.backing, 'ab') as file:
            file.truncate(size)

    def resize_device(self, size):
        self.resize_backing(size)
        subprocess.run(['losetup', '-c', self.device], check=True)

    def test_a_device_that_has_grown_is_used_to_its_end(self):
        self.resize_device(LARGER)
        cookie = self.client.aio_pread(nbd.Buffer(512), 0)
        self.assertIsNone(self.answer(self.ask()))
        self.check_served(cookie, LARGER)

    def test_one_that_has_not_grown_is_served_as_before(self):
        link = self.ask()
        cookie = self.client.aio_pread(nbd.Buffer(512), 0)
        self.assertIn('make the device larger first', self.answer(link))
        self.check_served(cookie, SIZE)

    def test_one_that_is_away_is_waited_for_and_served_as_before(self):
        self.resize_device(0)
        link = self.ask()
        self.wait_reason('is empty')
        cookie = self.begin_read()
        self.resize_backing(SIZE)
        with open(self.backing, 'r+b') as file:
            file.seek(DATA_OFFSET)
            file.write(DATA)
        self.resize_device(SIZE)
        self.assertIn('make the device larger first', self.answer(link))
        self.check_served(cookie, SIZE)

    def test_a_successor_serves_one_that_has_grown_already(self):
        """Killed after the device's growth and before the disk's."""
        self.resize_device(LARGER)
        self.disk.process.kill()
        self.disk.start_ready()
        self.client = self.disk.nbd()
        cookie = self.client.aio_pread(nbd.Buffer(512), 0)
        self.check_served(cookie, SIZE)
        self.assertIsNone(self.answer(self.ask()))
        cookie = self.client.aio_pread(nbd.Buffer(512), 0)
        self.check_served(cookie, LARGER)


class Server(Scene):
    """An export of an NBD server."""

    def setUp(self):
        if not shutil.which('nbdkit'):
            self.skipTest('nbdkit is not installed')
        folder = spawn.folder(self)
        self.socket = os.path.join(folder, 's')
        self.data = os.path.join(folder, 'data')
        self.resize_data(SIZE)
        self.serve()
        self.make_disk(f'nbd+unix:///?socket={self.socket}')

    def resize_data(self, size):
        with open(self.data, 'ab') as file:
            file.truncate(size)

    def serve(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.server = spawn.Process(
            ['nbdkit', '-f', '-U', self.socket, 'file', self.data],
            self.data + '.log')
        self.addCleanup(self.server.kill)
        self.server.wait_for_file(self.socket)

    def restart(self, size):
        self.server.kill()
        self.resize_data(size)
        self.serve()

    def test_an_export_that_has_grown_is_used_to_its_end(self):
        self.restart(LARGER)
        cookie = self.client.aio_pread(nbd.Buffer(512), 0)
        self.assertIsNone(self.answer(self.ask()))
        self.check_served(cookie, LARGER)

    def test_one_that_has_not_grown_is_served_as_before(self):
        link = self.ask()
        cookie = self.client.aio_pread(nbd.Buffer(512), 0)
        self.assertIn('larger', self.answer(link))
        self.check_served(cookie, SIZE)

    def test_a_server_that_is_away_is_waited_for(self):
        self.server.kill()
        link = self.ask()
        spawn.wait_until(lambda: self.call('status')['state'] ==
                         'resizing', SECONDS, 'it resizes')
        cookie = self.begin_read()
        self.resize_data(LARGER)
        self.serve()
        self.assertIsNone(self.answer(link))
        self.check_served(cookie, LARGER)

    def test_a_successor_serves_one_that_has_grown_already(self):
        self.disk.process.kill()
        self.restart(LARGER)
        self.disk.start_ready()
        self.client = self.disk.nbd()
        cookie = self.client.aio_pread(nbd.Buffer(512), 0)
        self.check_served(cookie, SIZE)


del Scene

if __name__ == '__main__':
    tap.main()
