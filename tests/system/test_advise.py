# SPDX-License-Identifier: Apache-2.0
"""forebay disk advise on a host, with a load whose working set is known.

fio reads any block of a part of the disk as often as any other. What a cache
hits of it is the share that it has room for.
"""

import subprocess
import unittest

import tap
from forebay import Host
from spawn import folder

MIB = 1 << 20
# Larger than the first disk's cache, smaller than twice as much.
SET_BYTES = 96 * MIB
# Of 4 KiB: 4 for each block of the smallest cache file.
WINDOW_BLOCKS = 4 * 64 * MIB // 4096
# Of the disk itself; and of another one, under a load of its own: how many
# misses share a header, and so what fits, depends on their timing, and the same
# load on the same disk hit 88 to 94 %. The test `advice` compares exactly.
POINTS = 0.03
POINTS_OF_ANOTHER = 0.07


def skip_without_fio():
    listed = subprocess.run(['fio', '--enghelp'], capture_output=True,
                            text=True, check=False).stdout
    if 'nbd' not in listed.split():
        raise unittest.SkipTest('fio has no engine for NBD')


class Advise(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        skip_without_fio()

    def setUp(self):
        self.work = folder(self)
        self.host = Host(self.work)
        self.addCleanup(self.host.stop)
        self.addCleanup(lambda: print(self.host.logs()))
        self.host.start()
        self.host.pool()

    def make(self, name, limit=None):
        filters = [('cache', {'limit': limit})] if limit else \
            [('throttle', {'iops': 100000})]
        self.host.policy(f'p-{name}', *filters)
        self.host.cli('disk', 'create', name, '--backend',
                      f'file:{self.work}/{name}.raw', '--size', '128MiB',
                      '--policy', f'p-{name}')
        self.host.cli('disk', 'open', name)

    def read(self, name, blocks, seed=7):
        uri = self.host.disk(name)['exports']['nbd']['uri']
        subprocess.run(
            ['fio', '--name=job', '--ioengine=nbd', f'--uri={uri}',
             '--rw=randread', '--bs=16k', f'--size={SET_BYTES}',
             f'--io_size={blocks * 4096}', '--norandommap',
             f'--randseed={seed}', '--iodepth=8'],
            check=True, stdout=subprocess.DEVNULL, timeout=240)

    def advice(self, name):
        return self.host.json('disk', 'advise', name)

    def load(self, name):
        """Until all that advice looks back on, which is two windows at most,
        is of a cache that is full. Returns: hit ratio of the last one. A
        run of fio for each: the later parts of a longer one hit less, so that
        not all windows would be alike."""
        for seed in range(100, 103):
            self.read(name, WINDOW_BLOCKS, seed)
        before = self.host.cache_status(name)
        self.read(name, WINDOW_BLOCKS, seed=8)
        after = self.host.cache_status(name)
        hit, miss = (after[key] - before[key]
                     for key in ('read_hit_bytes', 'read_miss_bytes'))
        return hit / (hit + miss)

    def test_what_it_says_of_another_size_is_so(self):
        self.make('small', '64MiB')
        small = self.load('small')
        advice = self.advice('small')
        print(self.host.cli('disk', 'advise', 'small'))
        self.assertTrue(advice['enough'], advice)
        self.assertRegex(advice['summary'], r'^with \d+MiB this disk would '
                                            r'hit \d+ %; it has 64MiB and ')
        self.assertEqual(self.host.disk('small')['advice'],
                         advice['summary'])
        told = {row['size_bytes'] // MIB: row for row in advice['points']}
        self.assertTrue(told[64]['present'])
        self.assertAlmostEqual(told[64]['hit_ratio'], small, delta=POINTS)
        self.assertLess(small, 0.75)
        # And is it so?
        for size in (96, 128):
            self.make(f'd{size}', f'{size}MiB')
            self.assertAlmostEqual(self.load(f'd{size}'),
                                   told[size]['hit_ratio'],
                                   delta=POINTS_OF_ANOTHER)

    def test_it_waits_until_enough_was_read(self):
        self.make('small', '64MiB')
        self.read('small', WINDOW_BLOCKS // 2)
        early = self.advice('small')
        self.assertFalse(early['enough'])
        self.assertEqual(early['points'], [])
        self.assertIn('too little was read', early['summary'])

    def test_a_disk_without_a_cache_says_so(self):
        self.make('plain')
        done = self.host.try_cli('disk', 'advise', 'plain')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('disk plain has no cache', done.stderr)
        self.assertIsNone(self.host.disk('plain')['advice'])

    def test_a_closed_disk_and_one_that_is_not_there_say_so(self):
        self.make('small', '64MiB')
        self.host.cli('disk', 'close', 'small')
        self.assertIn('not open',
                      self.host.try_cli('disk', 'advise', 'small').stderr)
        self.assertIn('none',
                      self.host.try_cli('disk', 'advise', 'none').stderr)

    def test_a_new_process_begins_anew(self):
        self.make('small', '64MiB')
        self.read('small', WINDOW_BLOCKS * 5 // 4)
        self.assertTrue(self.advice('small')['enough'])
        self.host.kill_disk('small')
        again = self.advice('small')
        self.assertFalse(again['enough'])
        self.assertEqual(again['read_blocks'], 0)


if __name__ == '__main__':
    tap.main()
