# SPDX-License-Identifier: Apache-2.0
"""A pool of several SSDs, each a file system of its own, and one is lost."""

import fcntl
import os
import random
import signal
import subprocess
import unittest

import nbd

import tap
from forebay import Host
from nbd_load import Load
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

    def mode(self, name):
        return self.host.disk(name)['mode']

    def start_without_its_ssd(self, letter=b'1', **more):
        """d1 holds @letter everywhere, all below; its SSD is away."""
        self.host.cli('pool', 'create', 'ssd', self.large)
        self.policy('gold', **more)
        self.disk('d1', 'gold')
        self.write('d1', letter)
        self.host.cli('disk', 'close', 'd1')
        run('umount', '-l', self.large)
        self.host.cli('disk', 'open', 'd1')

    def wait_until_cached(self, mode='write-back'):
        wait_until(lambda: self.mode('d1')['actual'] == mode, 120,
                   'd1 is cached again')

    def test_a_disk_without_dirty_data_opens_without_its_ssd(self):
        self.start_without_its_ssd()
        mode = self.mode('d1')
        self.assertEqual((mode['requested'], mode['actual'], mode['reason']),
                         ('write-back', 'none', 'cache-away'))
        self.assertIn(self.large, mode['detail'])
        self.assert_holds('d1', b'1')
        self.write('d1', b'2')
        self.host.kill_disk('d1')
        self.assert_holds('d1', b'2')
        with open(os.path.join(self.work, 'd1.raw'), 'rb') as image:
            self.assertEqual(image.read(MIB), b'2' * MIB)
        self.host.cli('disk', 'flush', 'd1')
        self.host.cli('disk', 'close', 'd1')

    def test_it_is_cached_again_by_itself_and_forgets_what_it_had(self):
        self.start_without_its_ssd(b'\0')
        load = Load(self.host.disk('d1')['exports']['nbd']['uri'],
                    [(0, SIZE_MIB * MIB // 512)], random.Random(7))
        load.connect()
        load.run(1)
        self.mount(self.large)
        for _ in range(120):
            load.run(0.5)
            if self.mode('d1')['actual'] == 'write-back':
                break
        self.wait_until_cached()
        load.run(1)
        self.assertGreater(self.host.disk('d1')['dirty_bytes'], 0)
        self.host.kill_disk('d1')
        load.run_until_broken()
        load.settle()
        load.disconnect()
        self.assertIsNone(self.mode('d1')['reason'])
        self.host.cli('disk', 'close', 'd1')

    def test_what_was_written_meanwhile_is_no_cached_copy(self):
        self.start_without_its_ssd(mode='write-through')
        self.assert_holds('d1', b'1')
        self.write('d1', b'2')
        self.mount(self.large)
        self.wait_until_cached('write-through')
        self.assert_holds('d1', b'2')
        # And of a start that finds the cache, but not what we wrote.
        self.host.cli('disk', 'close', 'd1')
        run('umount', '-l', self.large)
        self.host.cli('disk', 'open', 'd1')
        self.write('d1', b'3')
        self.host.cli('disk', 'close', 'd1')
        self.mount(self.large)
        self.host.cli('disk', 'open', 'd1')
        self.assertEqual(self.mode('d1')['actual'], 'write-through')
        self.assert_holds('d1', b'3')

    def test_with_dirty_data_it_is_refused_without_its_ssd(self):
        self.host.cli('pool', 'create', 'ssd', self.large)
        self.policy('gold', on_close='hold')
        self.disk('d1', 'gold')
        self.write('d1', b'1')
        self.host.try_cli('disk', 'close', 'd1')
        run('umount', '-l', self.large)
        done = self.host.try_cli('disk', 'open', 'd1')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(self.large, done.stderr)
        # A refusal leaves the image as it was closed.
        self.mount(self.large)
        wait_until(lambda: self.host.try_cli('disk', 'open', 'd1')
                   .returncode == 0, 120, 'd1 opens')
        self.assert_holds('d1', b'1')

    def test_a_full_pool_is_no_reason_to_refuse_a_disk(self):
        self.host.cli('pool', 'create', 'ssd', self.small)
        self.policy('gold', limit='128MiB', reservation='128MiB')
        self.disk('d1', 'gold')
        self.disk('d2', 'gold')
        mode = self.mode('d2')
        self.assertEqual((mode['actual'], mode['reason']),
                         ('none', 'pool-full'))
        self.assertIn('128MiB by', mode['detail'])
        self.write('d2', b'2')
        self.assert_holds('d2', b'2')
        self.host.cli('disk', 'close', 'd1')
        self.host.cli('disk', 'delete', 'd1')
        wait_until(lambda: self.mode('d2')['actual'] == 'write-back', 120,
                   'd2 is cached')
        self.assert_holds('d2', b'2')

    def test_a_policy_names_the_pool_of_its_disks(self):
        self.host.cli('pool', 'create', 'fast', self.small)
        self.host.cli('pool', 'create', 'big', self.large)
        self.policy('gold', pool='fast')
        self.disk('d1', 'gold')
        self.assertEqual(self.paths('fast')[self.small]['disks'], ['d1'])
        self.assertEqual(self.paths('big')[self.large]['disks'], [])

    def test_what_cache_files_have_is_granted_to_open_and_closed_disks(self):
        self.host.cli('pool', 'create', 'ssd', self.large)
        self.policy('gold')
        self.assertEqual(self.paths('ssd')[self.large]['granted_bytes'], 0)
        self.disk('d1', 'gold')
        self.disk('d2', 'gold')
        wait_until(lambda: self.paths('ssd')[self.large]['granted_bytes'] ==
                   128 * MIB, 30, 'both have their limit')
        self.host.cli('disk', 'close', 'd1')
        self.assertEqual(self.paths('ssd')[self.large]['granted_bytes'],
                         128 * MIB)
        self.assertIn(f' {128 * MIB} ', self.host.cli('pool', 'show', 'ssd'))
        self.lose(self.large)
        self.assertIsNone(self.paths('ssd')[self.large]['granted_bytes'])


if __name__ == '__main__':
    tap.main(at_once=3)
