# SPDX-License-Identifier: Apache-2.0
"""Two disks share a pool that is too small for both."""

import json
import os
import random
import subprocess
import threading
import unittest

import tap
from forebay import Host
from nbd_load import Load
from spawn import folder, wait_until

MIB = 1 << 20
POOL_MIB = 176
SIZE_MIB = 256
SECTORS = SIZE_MIB * MIB // 512
LEAST = 32 * MIB
SHIFT_SECONDS = 120


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


class Sharing(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.host = Host(os.path.join(self.work, 'h'))
        os.mkdir(self.host.root)
        self.pool = os.path.join(self.work, 'ssd')
        os.mkdir(self.pool)
        with open(self.pool + '.img', 'wb') as image:
            image.truncate(POOL_MIB * MIB)
        made = run('mkfs.ext4', '-q', '-F', self.pool + '.img')
        self.assertEqual(made.returncode, 0, made.stderr)
        mounted = run('mount', '-o', 'loop', self.pool + '.img', self.pool)
        if mounted.returncode != 0:
            self.skipTest('may not mount: ' + mounted.stderr.strip())
        self.addCleanup(run, 'umount', '-l', self.pool)
        self.addCleanup(self.host.stop)
        self.addCleanup(lambda: print(self.host.logs()))
        self.host.start()
        self.host.cli('pool', 'create', 'ssd', self.pool)
        self.loads = {}

    def policy(self, **properties):
        self.host.policy('gold', ('cache', {
            'mode': 'write-back', 'limit': '256MiB', 'max_dirty_age': '1s',
            **properties}))

    def disk(self, name, seed):
        image = os.path.join(self.work, name + '.raw')
        self.host.cli('disk', 'create', name, '--backend', 'file:' + image,
                      '--size', f'{SIZE_MIB}MiB', '--policy', 'gold')
        self.host.cli('disk', 'open', name)
        load = Load(self.host.disk(name)['exports']['nbd']['uri'],
                    [(0, SECTORS)], random.Random(seed))
        load.connect()
        self.loads[name] = load

    def shares(self):
        path, = self.host.json('pool', 'show', 'ssd')['paths']
        return {share['disk']: share for share in path['shares']}

    def granted(self, name):
        return self.shares()[name]['granted_bytes']

    def work_until(self, name, condition, what):
        """The disk is used until @condition is true."""
        for _ in range(SHIFT_SECONDS * 2):
            self.loads[name].run(0.5)
            if condition():
                return
        self.fail(f'{what}: not within {SHIFT_SECONDS} s; {self.shares()}')

    def mode(self, name):
        return self.host.disk(name)['mode']

    def assert_cached(self, name):
        self.assertEqual(self.mode(name)['actual'], 'write-back')

    def killed(self, name):
        """kill -9 of a disk's process under its load, which goes on."""
        self.host.kill_disk(name)
        self.loads[name].run_until_broken()
        self.loads[name].settle()

    def end(self):
        """Every byte is what was written, through the cache and below."""
        for name, load in self.loads.items():
            load.drain()
            load.settle()
            load.disconnect()
            self.host.cli('disk', 'close', name)
            load.check_image(os.path.join(self.work, name + '.raw'))

    def test_space_goes_where_the_use_is_and_comes_back(self):
        self.policy()
        self.disk('d1', 1)
        self.assertGreater(self.granted('d1'), 130 * MIB)
        self.disk('d2', 2)
        # Nothing is left for it, until the other one has made some room.
        wait_until(lambda: self.mode('d2')['actual'] == 'write-back', 60,
                   'd2 is cached')
        self.work_until('d2', lambda: self.granted('d2') > 90 * MIB,
                        'd2 gets what d1 does not use')
        self.assertGreaterEqual(self.granted('d1'), LEAST)
        self.loads['d1'].run(1)
        self.killed('d1')
        self.assert_cached('d1')
        self.host.kill_cached()
        self.loads['d2'].run(1)
        self.killed('d2')
        wait_until(lambda: {'d1', 'd2'} <= set(self.shares()), 60,
                   'forebay-cached knows both')
        self.work_until('d1', lambda: self.granted('d1') > 90 * MIB,
                        'd1 gets it back')
        self.assertGreaterEqual(self.granted('d2'), LEAST)
        for name in ('d1', 'd2'):
            self.assert_cached(name)
        self.end()

    def test_what_was_given_back_reads_as_zeros_to_the_next_one(self):
        self.policy()
        self.disk('d1', 3)
        self.loads['d1'].run(3)
        self.disk('d2', 4)
        wait_until(lambda: self.mode('d2')['actual'] == 'write-back', 60,
                   'd2 is cached')
        folder_path = os.path.join(self.pool, 'forebay')
        identity = self.host.disk('d1')['id']
        with open(os.path.join(folder_path, identity + '.cache'),
                  'rb') as file:
            share = self.shares()['d1']
            wait_until(lambda: os.fstat(file.fileno()).st_blocks * 512 <=
                       share['granted_bytes'] + MIB, 60, 'd1 gives back')
            # Not more is there than the granted: the rest is holes.
            self.assertEqual(os.fstat(file.fileno()).st_size, 256 * MIB)
        with open(os.path.join(folder_path,
                               self.host.disk('d2')['id'] + '.cache'),
                  'rb') as file:
            offset = 2 * MIB
            while block := os.pread(file.fileno(), MIB, offset):
                self.assertEqual(block.strip(b'\0'), b'')
                offset += MIB
        self.end()

    def test_a_reservation_is_served_first(self):
        self.policy(reservation='64MiB')
        self.disk('d1', 5)
        self.disk('d2', 6)
        wait_until(lambda: self.mode('d2')['actual'] == 'write-back', 60,
                   'd2 is cached')
        self.work_until('d1', lambda: self.granted('d2') >= 64 * MIB,
                        'd2 gets what is reserved, whatever d1 does')
        self.end()

    def change(self, **properties):
        """Changes the policy while the disk is used."""
        path = os.path.join(self.work, 'gold.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump({'name': 'gold', 'filters': [
                {'filter': 'cache', 'properties': {
                    'mode': 'write-back', 'max_dirty_age': '1s',
                    **properties}}]}, file)
        done = []
        thread = threading.Thread(target=lambda: done.append(
            self.host.try_cli('policy', 'update', '-f', path)))
        thread.start()
        while thread.is_alive():
            self.loads['d1'].run(0.2)
        self.assertEqual(done[0].returncode, 0, done[0].stderr)

    def test_limit_and_reservation_change_while_a_disk_is_used(self):
        self.policy(limit='64MiB')
        self.disk('d1', 7)
        self.assertEqual(self.granted('d1'), 64 * MIB)
        self.loads['d1'].run(1)
        self.change(limit='128MiB', reservation='96MiB')
        self.work_until('d1', lambda: self.shares()['d1'][
            'allocated_bytes'] == 128 * MIB, 'it has its new limit')
        self.assertEqual(self.shares()['d1']['reserved_bytes'], 96 * MIB)
        self.killed('d1')
        self.change(limit='80MiB')
        self.work_until('d1', lambda: self.shares()['d1'][
            'allocated_bytes'] <= 80 * MIB, 'it gives back')
        share = self.shares()['d1']
        self.assertEqual((share['limit_bytes'], share['reserved_bytes']),
                         (80 * MIB, 32 * MIB))
        self.assert_cached('d1')
        self.end()


if __name__ == '__main__':
    tap.main()
