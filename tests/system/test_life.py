# SPDX-License-Identifier: Apache-2.0
"""What happens to an open disk: restart, resize, and being opened parked.

A whole host; NBD clients that check every byte stand for the VM.
"""

import os
import random
import signal
import subprocess
import unittest

import nbd

import tap
from forebay import CommandFailed, Host, find_program
from nbd_load import Load
from spawn import Process, folder, wait_until

MIB = 1 << 20
SECTORS_PER_MIB = 2048
SIZE_MIB = 64
ZONES = [(place * SECTORS_PER_MIB, SECTORS_PER_MIB)
         for place in range(0, SIZE_MIB, 4)]


class Life(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.image = os.path.join(self.work, 'disk.raw')
        self.host = Host(self.work)
        self.addCleanup(self.host.stop)
        self.addCleanup(lambda: print(self.host.logs()))
        self.host.start()

    def add_policy(self):
        """A small write-back cache that wraps around."""
        os.mkdir(os.path.join(self.work, 'pool'))
        self.host.cli('pool', 'create', 'ssd',
                      os.path.join(self.work, 'pool'))
        self.host.policy('p', ('cache', {'mode': 'write-back',
                                         'limit': '64MiB',
                                         'max_dirty_age': '60s'}))
        return ('--policy', 'p')

    def create(self, cached=False, open_it=True):
        policy = self.add_policy() if cached else ()
        self.host.cli('disk', 'create', 'd1', '--backend',
                      f'file:{self.image}', '--size', f'{SIZE_MIB}MiB',
                      *policy)
        if open_it:
            self.host.cli('disk', 'open', 'd1')

    def uri(self):
        return self.host.disk('d1')['exports']['nbd']['uri']

    def load(self):
        load = Load(self.uri(), ZONES, random.Random(4))
        load.connect()
        return load

    def connected(self):
        handle = nbd.NBD()
        handle.connect_uri(self.uri())
        return handle

    def restart(self):
        before = self.host.disk('d1')
        answer = self.host.json('disk', 'restart', 'd1')
        self.assertEqual(answer['state'], 'open')
        self.assertNotEqual(answer['pid'], before['pid'])
        self.assertEqual(answer['restarts'], before['restarts'])
        self.assertGreater(answer['stall_ns'], 0)
        return answer

    def refused(self, *words):
        done = self.host.try_cli(*words)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    # Restart.

    def test_a_restart_loses_nothing_and_is_no_crash(self):
        self.create(cached=True)
        load = self.load()
        for _ in range(4):
            load.run(0.5)
            self.restart()
            load.run_until_broken()
            load.settle()
        self.assertGreater(load.done['write'], 0)

    def test_a_restart_leaves_dirty_data_in_the_cache(self):
        self.create(cached=True)
        handle = self.connected()
        handle.pwrite(b'd' * MIB, 0)
        handle.flush()
        self.restart()
        self.assertGreaterEqual(self.host.disk('d1')['dirty_bytes'], MIB)
        self.assertEqual(self.connected().pread(MIB, 0), b'd' * MIB)
        self.host.cli('disk', 'close', 'd1')
        with open(self.image, 'rb') as image:
            self.assertEqual(image.read(MIB), b'd' * MIB)

    def test_a_closed_disk_is_not_restarted(self):
        self.create(open_it=False)
        self.assertIn('closed', self.refused('disk', 'restart', 'd1'))
        self.assertEqual(self.host.disk('d1')['state'], 'closed')

    # Resize.

    def check_larger(self, size):
        self.assertEqual(self.host.disk('d1')['size_bytes'], size)
        self.assertEqual(os.stat(self.image).st_size, size)
        handle = self.connected()
        self.assertEqual(handle.get_size(), size)
        handle.pwrite(b'e' * 4096, size - 4096)
        handle.flush()
        self.assertEqual(handle.pread(4096, size - 4096), b'e' * 4096)

    def test_an_open_disk_grows(self):
        self.create()
        handle = self.connected()
        handle.pwrite(b'a' * 4096, 0)
        pid = self.host.disk('d1')['pid']
        self.host.cli('disk', 'resize', 'd1', '--size', '96MiB')
        self.assertEqual(self.host.disk('d1')['pid'], pid)
        self.check_larger(96 * MIB)
        self.assertEqual(self.connected().pread(4096, 0), b'a' * 4096)
        self.host.kill_disk('d1')
        self.check_larger(96 * MIB)

    def test_a_cached_disk_grows_and_keeps_its_dirty_data(self):
        self.create(cached=True)
        load = self.load()
        load.run(1)
        self.host.cli('disk', 'resize', 'd1', '--size', '96MiB')
        load.run(1)
        self.assertGreater(self.host.disk('d1')['dirty_bytes'], 0)
        self.check_larger(96 * MIB)
        self.host.kill_disk('d1')
        load.run_until_broken()
        load.settle()
        self.check_larger(96 * MIB)
        self.host.cli('disk', 'close', 'd1')

    def test_a_closed_disk_grows_when_it_is_opened(self):
        self.create(cached=True)
        self.host.cli('disk', 'close', 'd1')
        self.host.cli('disk', 'resize', 'd1', '--size', '96MiB')
        self.assertEqual(self.host.disk('d1')['size_bytes'], 96 * MIB)
        self.host.cli('disk', 'open', 'd1')
        self.check_larger(96 * MIB)

    def test_a_disk_does_not_shrink(self):
        self.create()
        self.assertIn('can only grow', self.refused('disk', 'resize', 'd1',
                                                    '--size', '32MiB'))
        self.assertEqual(self.host.disk('d1')['size_bytes'], SIZE_MIB * MIB)
        self.host.cli('disk', 'resize', 'd1', '--size', f'{SIZE_MIB}MiB')

    def test_a_block_device_grows_before_its_disk(self):
        backing = os.path.join(self.work, 'backing')
        with open(backing, 'wb') as file:
            file.truncate(SIZE_MIB * MIB)
        device = self.loop_device(backing)
        self.host.cli('disk', 'create', 'd1', '--backend', device)
        self.host.cli('disk', 'open', 'd1')
        before = self.host.disk('d1')
        handle = self.connected()
        handle.pwrite(b'b' * 4096, 0)
        error = self.refused('disk', 'resize', 'd1', '--size', '96MiB')
        self.assertIn(f'is a block device of {SIZE_MIB * MIB} bytes', error)
        self.assertIn('resize the device first', error)
        os.truncate(backing, 96 * MIB)
        subprocess.run(['losetup', '-c', device], check=True)
        # It has a life in between.
        self.host.kill_disk('d1')
        self.assertEqual(self.host.disk('d1')['size_bytes'],
                         before['size_bytes'])
        self.host.cli('disk', 'resize', 'd1', '--size', '96MiB')
        handle = self.connected()
        self.assertEqual(handle.get_size(), 96 * MIB)
        self.assertEqual(handle.pread(4096, 0), b'b' * 4096)
        handle.pwrite(b'e' * 4096, 96 * MIB - 4096)
        handle.flush()
        self.host.cli('disk', 'close', 'd1')

    def loop_device(self, path):
        done = subprocess.run(['losetup', '-f', '--show', path], text=True,
                              capture_output=True, check=False)
        if done.returncode != 0:
            self.skipTest('no loop device can be made here')
        device = done.stdout.strip()
        # Cleanups run from the last to the first.
        self.addCleanup(subprocess.run, ['losetup', '-d', device], check=True)
        self.addCleanup(self.host.stop)
        return device

    def test_a_process_that_dies_before_it_grows_is_followed_by_one_that_does(
            self):
        """Killed between the store's word and the process's."""
        self.create()
        pid = self.host.disk('d1')['pid']
        os.kill(pid, signal.SIGSTOP)
        asked = self.begin_resize('96MiB')
        config = os.path.join(self.work, 'lib', 'disks',
                              self.host.disk('d1')['id'] + '.json')
        wait_until(lambda: 'grow' in self.read(config), 20,
                   'the new size is noted')
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(asked.wait(60), 0)
        self.check_larger(96 * MIB)

    @staticmethod
    def read(path):
        with open(path, encoding='utf-8') as file:
            return file.read()

    def begin_resize(self, size):
        asked = Process([find_program(self.host.prefix, 'forebay'), '--root',
                         self.work, 'disk', 'resize', 'd1', '--size', size],
                        os.path.join(self.work, 'resize.out'))
        self.addCleanup(asked.kill)
        return asked

    # Parked.

    def test_an_incoming_disk_serves_and_locks_nothing(self):
        self.create(open_it=False)
        answer = self.host.json('disk', 'open', 'd1', '--incoming')
        self.assertEqual(answer['state'], 'incoming')
        exports = answer['exports']
        self.assertTrue(os.path.exists(exports['vhost-user-blk']['socket']))
        self.assertFalse(os.path.exists(exports['nbd']['socket']))
        other = Host(folder(self))
        self.addCleanup(other.stop)
        other.start()
        other.cli('disk', 'create', 'd1', '--backend', f'file:{self.image}')
        other.cli('disk', 'open', 'd1')
        other.cli('disk', 'close', 'd1')

    def test_an_incoming_disk_comes_back_incoming(self):
        self.create(open_it=False)
        self.host.cli('disk', 'open', 'd1', '--incoming')
        old = self.host.disk('d1')['pid']
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: self.host.disk('d1')['pid'] not in (None, old)
                   and self.host.disk('d1')['state'] == 'incoming', 30,
                   'a successor is incoming')
        last = self.host.disk('d1')['pid']
        self.host.kill_daemon()
        os.kill(last, signal.SIGKILL)
        self.host.start()
        wait_until(lambda: self.host.disk('d1')['state'] == 'incoming', 30,
                   'after forebayd, too')

    def test_an_incoming_disk_closes_clean(self):
        self.create(open_it=False)
        self.host.cli('disk', 'open', 'd1', '--incoming')
        self.host.cli('disk', 'close', 'd1')
        self.assertEqual(self.host.disk('d1')['dirty_bytes'], 0)
        self.host.cli('disk', 'open', 'd1')
        self.assertEqual(self.host.disk('d1')['state'], 'open')

    def test_a_disk_that_is_served_here_is_not_incoming(self):
        self.create()
        self.assertIn('served here', self.refused('disk', 'open', 'd1',
                                                  '--incoming'))
        self.assertEqual(self.host.disk('d1')['state'], 'open')

    def test_a_disk_has_its_id_on_both_hosts(self):
        self.create(open_it=False)
        disk_id = self.host.disk('d1')['id']
        other = Host(folder(self))
        self.addCleanup(other.stop)
        other.start()
        other.cli('disk', 'create', 'd1', '--backend', f'file:{self.image}',
                  '--id', disk_id)
        self.assertEqual(other.disk('d1')['id'], disk_id)
        with self.assertRaises(CommandFailed):
            other.cli('disk', 'create', 'd2', '--backend',
                      os.path.join(self.work, 'x'), '--size', '1MiB', '--id',
                      disk_id)
        with self.assertRaises(CommandFailed):
            other.cli('disk', 'create', 'd3', '--backend',
                      os.path.join(self.work, 'y'), '--size', '1MiB', '--id',
                      'none')


if __name__ == '__main__':
    tap.main(at_once=3)
