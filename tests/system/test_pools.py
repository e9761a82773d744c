# SPDX-License-Identifier: Apache-2.0
"""A pool of several SSDs, each a file system of its own, and one is lost."""

import fcntl
import os
import signal
import subprocess
import unittest

import nbd

import tap
from forebay import Host
from spawn import folder, wait_until

MIB = 1 << 20
SIZE_MIB = 16
# FS_IOC_SHUTDOWN of Linux: from now on all I/O of the file system fails.
SHUTDOWN = 0x8004587d
NOTHING_MORE = b'\2\0\0\0'


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


class Pools(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.host = Host(os.path.join(self.work, 'h'))
        os.mkdir(self.host.root)
        self.large = self.ssd('large', 240)
        self.small = self.ssd('small', 200)
        self.addCleanup(self.host.stop)
        self.addCleanup(lambda: print(self.host.logs()))
        self.host.start()

    def ssd(self, name, mib):
        path = os.path.join(self.work, name)
        os.mkdir(path)
        with open(path + '.img', 'wb') as image:
            image.truncate(mib * MIB)
        made = run('mkfs.ext4', '-q', '-F', path + '.img')
        self.assertEqual(made.returncode, 0, made.stderr)
        self.addCleanup(run, 'umount', '-l', path)
        self.mount(path)
        return path

    def mount(self, path):
        done = run('mount', '-o', 'loop', path + '.img', path)
        if done.returncode != 0:
            self.skipTest('may not mount: ' + done.stderr.strip())

    @staticmethod
    def lose(path):
        """All I/O fails, and then it isn't there any more."""
        fd = os.open(path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, NOTHING_MORE)
        finally:
            os.close(fd)
        run('umount', '-l', path)

    def policy(self, name, **more):
        self.host.policy(name, ('cache', {
            'mode': 'write-back', 'limit': '64MiB', 'max_dirty_age': '1h',
            **more}))

    def disk(self, name, policy):
        image = os.path.join(self.work, name + '.raw')
        self.host.cli('disk', 'create', name, '--backend', 'file:' + image,
                      '--size', f'{SIZE_MIB}MiB', '--policy', policy)
        self.host.cli('disk', 'open', name)

    def connect(self, name):
        handle = nbd.NBD()
        handle.connect_uri(self.host.disk(name)['exports']['nbd']['uri'])
        return handle

    def write(self, name, letter):
        handle = self.connect(name)
        for mib in range(SIZE_MIB):
            handle.pwrite(letter * MIB, mib * MIB)
        handle.flush()
        handle.shutdown()

    def assert_holds(self, name, letter):
        handle = self.connect(name)
        for mib in range(SIZE_MIB):
            self.assertEqual(handle.pread(MIB, mib * MIB), letter * MIB)
        handle.shutdown()

    def paths(self, pool):
        return {path['path']: path
                for path in self.host.json('pool', 'show', pool)['paths']}

    def test_the_loss_of_one_ssd_touches_its_disks_only(self):
        self.host.cli('pool', 'create', 'ssd', self.large, self.small)
        self.policy('gold')
        # Each goes where most room is.
        self.disk('d1', 'gold')
        self.disk('d2', 'gold')
        self.assertEqual(self.paths('ssd')[self.large]['disks'], ['d1'])
        self.assertEqual(self.paths('ssd')[self.small]['disks'], ['d2'])
        self.write('d1', b'1')
        self.write('d2', b'2')
        self.lose(self.large)
        self.assert_holds('d2', b'2')
        self.write('d2', b'3')
        lost = self.paths('ssd')[self.large]
        self.assertIn(self.large, lost['reason'])
        self.assertEqual(lost['disks'], ['d1'])
        self.assertIsNone(lost['free_bytes'])
        self.assertIsNone(self.paths('ssd')[self.small]['reason'])
        for words in (('list',), ('show', 'ssd')):
            self.assertIn('missing', self.host.cli('pool', *words))
        # What has its cache elsewhere starts again, what is new finds room.
        self.host.kill_disk('d2')
        self.assert_holds('d2', b'3')
        self.host.kill_cached()
        self.disk('d3', 'gold')
        self.write('d3', b'4')
        self.assert_holds('d3', b'4')
        self.assertEqual(sorted(self.paths('ssd')[self.small]['disks']),
                         ['d2', 'd3'])

    def test_a_disk_whose_ssd_comes_back_has_all_that_was_flushed(self):
        self.host.cli('pool', 'create', 'ssd', self.large, self.small)
        self.policy('gold')
        self.disk('d1', 'gold')
        self.write('d1', b'1')
        self.lose(self.large)
        pid = self.host.disk('d1')['pid']
        if pid:
            os.kill(pid, signal.SIGKILL)
        self.mount(self.large)
        wait_until(lambda: self.host.try_cli('disk', 'open', 'd1')
                   .returncode == 0, 120, 'd1 opens')
        self.assert_holds('d1', b'1')

    def test_a_policy_names_the_pool_of_its_disks(self):
        self.host.cli('pool', 'create', 'fast', self.small)
        self.host.cli('pool', 'create', 'big', self.large)
        self.policy('gold', pool='fast')
        self.disk('d1', 'gold')
        self.assertEqual(self.paths('fast')[self.small]['disks'], ['d1'])
        self.assertEqual(self.paths('big')[self.large]['disks'], [])


if __name__ == '__main__':
    tap.main()
