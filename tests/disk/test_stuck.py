# SPDX-License-Identifier: Apache-2.0
"""A real disk over storage that hangs: VMs and processes end all the same.

The image lies on a file system that can be halted: nbdfuse over an nbdkit with
its pause filter. What is under way then is in the kernel, and no one can call
it back.
"""

import os
import shutil
import socket
import subprocess
import threading
import unittest

import nbd
import spawn
import tap
from disk_process import LOAD, MIB, SECONDS, Disk, Refused

SIZE = 64 * MIB
STOP_DEADLINE_MS = 300


def needs():
    """Why such storage isn't possible here, or None."""
    for tool in ('nbdfuse', 'nbdkit', 'umount'):
        if not shutil.which(tool):
            return f'{tool} is not installed'
    if os.geteuid() != 0 or not os.path.exists('/dev/fuse'):
        return 'mounting by FUSE needs root and /dev/fuse'
    return None


def unmount(path):
    """A ring lets go of its files some time after its process has ended."""
    spawn.wait_until(
        lambda: subprocess.run(['umount', path], check=False,
                               stderr=subprocess.DEVNULL).returncode == 0,
        SECONDS, 'unmounting')


class Stuck(unittest.TestCase):

    def setUp(self):
        reason = needs()
        if reason:
            self.skipTest(reason)
        self.folder = spawn.folder(self)
        mount = os.path.join(self.folder, 'm')
        os.mkdir(mount)
        image = os.path.join(mount, 'image')
        self.control = os.path.join(self.folder, 'pause')
        fuse = spawn.Process(
            ['nbdfuse', image, '--command', 'nbdkit', '-s',
             '--exit-with-parent', '--filter=pause', 'memory', str(SIZE),
             'pause-control=' + self.control],
            os.path.join(self.folder, 'fuse.log'))
        self.addCleanup(fuse.popen.wait, SECONDS)
        self.addCleanup(unmount, mount)
        spawn.wait_until(lambda: os.path.exists(image), SECONDS,
                         'the file system')
        self.halted = False
        self.disk = Disk(self, folder=self.folder)
        self.disk.config['backend'] = 'file:' + image
        self.disk.config['exports']['vhost_user_blk'][
            'stop_deadline_ms'] = STOP_DEADLINE_MS
        # First of all the cleanups: nothing ends while the storage hangs.
        self.disk.start_ready()
        self.link = self.disk.connect()
        self.addCleanup(self.go_on)

    def tell_storage(self, command, answer):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(SECONDS)
            link.connect(self.control)
            link.send(command)
            self.assertEqual(link.recv(1), answer)

    def halt(self):
        self.tell_storage(b'p', b'P')
        self.halted = True

    def go_on(self):
        if self.halted:
            self.tell_storage(b'r', b'R')
        self.halted = False

    def load(self, *words):
        process = spawn.Process(
            [LOAD, 'bench', '--vhost-user', self.disk.path('vhost'), '--read',
             '0', '--destroy-data', '--depth', '4', *words],
            os.path.join(self.folder, 'load'))
        self.addCleanup(process.kill)
        return process

    def stats(self):
        return self.disk.call('stats', self.link)

    def wait_stats(self, condition, what):
        spawn.wait_until(lambda: condition(self.stats()), SECONDS, what)

    def load_that_hangs(self):
        """Requests of before the halt might end yet; there are none."""
        load = self.load('--count', '50')
        self.assertEqual(load.wait(SECONDS), 0, load.output())
        self.halt()
        load = self.load('--seconds', '60')
        self.wait_stats(lambda stats: stats['in_flight'] == 4,
                        'all requests to hang')
        return load

    def leave_stuck_requests(self):
        """A VM is destroyed while the storage hangs."""
        load = self.load_that_hangs()
        load.kill()
        self.wait_stats(
            lambda stats: not stats['exports']['vhost_user_blk']['connected'],
            'the export to let the front-end go')
        self.assertEqual(self.stats()['stuck']['requests'], 4)
        self.assertGreater(self.stats()['stuck']['oldest_ns'], 0)

    def test_a_vm_is_destroyed_in_time_and_another_is_served(self):
        self.leave_stuck_requests()
        self.go_on()
        self.wait_stats(lambda stats: stats['stuck']['requests'] == 0,
                        'the stuck requests to end')
        load = self.load('--count', '500', '--verify')
        self.assertEqual(load.wait(SECONDS), 0, load.output())
        self.disk.call('close')
        self.assertEqual(self.disk.process.wait(SECONDS), 0)

    def test_a_close_is_refused_in_time_and_works_later(self):
        self.leave_stuck_requests()
        with self.assertRaisesRegex(Refused, 'stuck in its backend'):
            self.disk.call('close', drain=True)
        self.assertEqual(self.disk.call('status')['state'], 'ready')
        self.go_on()
        self.wait_stats(lambda stats: stats['stuck']['requests'] == 0,
                        'the stuck requests to end')
        self.disk.call('close', drain=True)
        self.assertEqual(self.disk.process.wait(SECONDS), 0)

    def test_a_close_gives_up_what_is_in_flight(self):
        load = self.load_that_hangs()
        with self.assertRaisesRegex(Refused, 'stuck in its backend'):
            self.disk.call('close')
        load.kill()

    def leave_nbd_client(self):
        """An NBD client's write hangs. Returns: the client."""
        client = self.disk.nbd()
        self.halt()
        client.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(4096)), 0)
        while client.aio_get_direction() & nbd.AIO_DIRECTION_WRITE:
            client.poll(100)
        self.wait_stats(lambda stats: stats['in_flight'] == 1, 'the write')
        return client

    def test_an_nbd_client_does_not_keep_the_process(self):
        client = self.leave_nbd_client()
        self.disk.process.popen.terminate()
        spawn.wait_until(
            lambda: "NBD clients don't end" in self.disk.process.output(),
            SECONDS, 'the end')
        self.go_on()
        self.assertEqual(self.disk.process.wait(SECONDS), 1)
        del client

    def test_a_close_that_waits_for_an_nbd_client_says_so_and_ends(self):
        client = self.leave_nbd_client()
        closing = threading.Thread(target=self.disk.call, args=('close',))
        closing.start()
        spawn.wait_until(
            lambda: 'NBD' in self.disk.call('status', self.link)['reason'],
            SECONDS, 'the reason')
        self.assertEqual(self.disk.call('status', self.link)['state'],
                         'stopping')
        self.go_on()
        self.assertEqual(self.disk.process.wait(SECONDS), 0)
        closing.join()
        del client

    def test_the_process_ends_when_it_is_told_to(self):
        self.leave_stuck_requests()
        self.disk.process.popen.terminate()
        spawn.wait_until(
            lambda: "can't be closed in order" in self.disk.process.output(),
            SECONDS, 'the end')
        # The kernel keeps what is left of it until its I/O has ended.
        self.go_on()
        self.assertEqual(self.disk.process.wait(SECONDS), 1)


if __name__ == '__main__':
    tap.main()
