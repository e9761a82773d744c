# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random instants, with many requests in flight over NBD.

forebay-disk and forebay-cached run without a supervisor; the test restarts
them. FOREBAY_KILLS says how often they are killed; FOREBAY_SEED repeats a run.

The load is none of forebay bench's, which sends again what wasn't answered, as
a VM does, in blocks of one size. Here requests of all sizes share sectors, and
what was under way at a kill is left at that: each of its sectors holds the old
or the new from then on, and a flush covers what was answered before it.
"""

import os
import random
import time
import unittest

import tap
from data_plane import DataPlane
from nbd_load import Load
from spawn import folder

KILLS = int(os.environ.get('FOREBAY_KILLS', '20'))
SEED = int(os.environ.get('FOREBAY_SEED', '0')) or random.randrange(1 << 31)
MIB = 1 << 20
SECTORS_PER_MIB = 2048
DISK_MIB = 512
ZONES = 40


class KillLoop(unittest.TestCase):

    def setUp(self):
        self.random = random.Random(SEED)
        print(f'seed {SEED}')
        self.plane = None

    def open(self, mode):
        """A small cache that wraps around, zones all over a larger disk."""
        self.plane = DataPlane(folder(self), DISK_MIB * MIB, {
            'mode': mode, 'limit': '64MiB', 'max_dirty_age': '1s'})
        self.addCleanup(self.plane.stop)
        self.plane.start()
        places = self.random.sample(range(DISK_MIB), ZONES)
        zones = [(place * SECTORS_PER_MIB, SECTORS_PER_MIB)
                 for place in places]
        return Load(self.plane.uri, zones, self.random)

    def kill_disk(self, load):
        self.plane.disk.kill()
        load.run_until_broken()
        self.plane.start_disk()
        load.settle()

    def kill_cached(self, load):
        """I/O doesn't notice, neither now nor when it is back."""
        self.plane.cached.kill()
        load.run(self.random.uniform(0, 0.3))
        self.plane.start_cached()
        load.run(self.random.uniform(0, 0.3))

    def kill_both(self, load):
        self.plane.disk.kill()
        self.plane.cached.kill()
        load.run_until_broken()
        self.plane.start()
        load.settle()

    def kill_heir(self, load):
        """A second kill while the successor starts, recovers or serves."""
        self.plane.disk.kill()
        load.run_until_broken()
        self.plane.begin_disk()
        time.sleep(self.random.uniform(0, 0.1))
        self.plane.disk.kill()
        self.plane.start_disk()
        load.settle()

    def run_kills(self, mode, kills):
        load = self.open(mode)
        load.connect()
        ways = (self.kill_disk, self.kill_disk, self.kill_cached,
                self.kill_both, self.kill_heir)
        try:
            for number in range(kills):
                load.run(self.random.uniform(0.05, 0.8))
                way = self.random.choice(ways)
                print(f'kill {number}: {way.__name__} after {load.done}')
                way(load)
            load.drain()
            print(f'{load.done} {self.plane.cache_status()}')
            self.assertEqual(load.journal.lost_acked, 0,
                             'acknowledged writes that a kill took back')
            load.disconnect()
            self.assertEqual(self.plane.close(), 0)
            load.check_image(self.plane.image)
        except Exception:
            print(self.plane.logs())
            raise

    def test_write_back_keeps_every_promise(self):
        self.run_kills('write-back', KILLS)

    def test_write_through_keeps_every_promise(self):
        self.run_kills('write-through', max(KILLS // 4, 2))

    def test_write_around_keeps_every_promise(self):
        self.run_kills('write-around', max(KILLS // 4, 2))


if __name__ == '__main__':
    tap.main()
