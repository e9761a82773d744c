# SPDX-License-Identifier: Apache-2.0
"""kill -9 of every process of a host, under loads that check every byte.

FOREBAY_KILLS says how often; FOREBAY_SEED repeats the choices of a run. `./run
soak` does the same for long.
"""

import os
import random
import unittest

import tap
from kill_loop import Failed, KillLoop
from spawn import folder

KILLS = int(os.environ.get('FOREBAY_KILLS', '30'))
SEED = int(os.environ.get('FOREBAY_SEED', '0')) or random.randrange(1 << 31)
SECTOR = 512


class KillLoopTest(unittest.TestCase):

    def start(self):
        loop = KillLoop(folder(self), SEED)
        self.addCleanup(loop.stop)
        self.addCleanup(lambda: print(loop.host.logs()))
        print(f'seed {SEED}')
        loop.start()
        return loop

    def test_disks_of_every_mode_keep_what_they_acknowledged(self):
        loop = self.start()
        loop.round(KILLS // 2)
        loop.round(KILLS - KILLS // 2)
        loop.finish()
        print(loop.kills, loop.ways, loop.requests, loop.reconnects)
        for export in ('vhost-user-blk', 'nbd'):
            self.assertGreater(loop.reconnects[export], 0)
        for kind in ('read', 'write', 'flush', 'write_zeroes'):
            self.assertGreater(loop.requests[kind], 0)

    def test_a_sector_that_is_lost_is_found(self):
        loop = self.start()
        loop.round(1)
        loop.finish()
        with open(loop.image('around'), 'r+b') as image:
            offset = next(at for at in range(0, 1 << 30, SECTOR)
                          if image.read(SECTOR).count(0) < SECTOR)
            image.seek(offset)
            image.write(bytes(SECTOR))
        with self.assertRaisesRegex(Failed, r'1 wrong sectors; sector '
                                    rf'{offset // SECTOR}: expected'):
            loop.check_image('around')


if __name__ == '__main__':
    tap.main()
