# SPDX-License-Identifier: Apache-2.0
"""kill -9, again and again, under writers that check every byte over NBD.

FOREBAY_KILLS says how often; FOREBAY_SEED repeats a run.
"""

import os
import random
import signal
import time
import unittest

import tap
from forebay import Host
from nbd_verify import Writers
from spawn import folder, wait_until

KILLS = int(os.environ.get('FOREBAY_KILLS', '20'))
SEED = int(os.environ.get('FOREBAY_SEED', '0')) or random.randrange(1 << 31)
WRITERS = 4
BLOCKS_EACH = 2048


class KillLoopTest(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.image = os.path.join(self.work, 'disk.raw')
        self.host = Host(self.work)
        self.addCleanup(self.host.stop)
        self.addCleanup(lambda: print(self.host.logs()))
        self.host.start()
        os.mkdir(os.path.join(self.work, 'pool'))
        self.host.cli('pool', 'create', 'ssd',
                      os.path.join(self.work, 'pool'))
        self.random = random.Random(SEED)
        self.killed_at = 0.0
        print(f'seed {SEED}')

    def open_disk(self, mode):
        """A small cache, so that it wraps around, under a small disk."""
        self.host.policy('p', ('cache', {'mode': mode, 'limit': '64MiB',
                                         'max_dirty_age': '1s'}))
        self.host.cli('disk', 'create', 'd1', '--backend',
                      f'file:{self.image}', '--size', '64MiB',
                      '--policy', 'p')
        self.host.cli('disk', 'open', 'd1')
        return Writers(self.host.disk('d1')['exports']['nbd']['uri'],
                       WRITERS, BLOCKS_EACH, SEED)

    def await_writes(self, writers, count):
        start = writers.writes()
        wait_until(lambda: writers.writes() >= start + count, 120,
                   f'{count} more writes are acknowledged')

    def kill_both(self):
        """Both at once: neither has the other to lean on."""
        pids = [self.host.cached_pid(), self.host.disk('d1')['pid']]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.host.cached_pid() not in (None, pids[0]), 30,
                   'another forebay-cached runs')

        def served():
            disk = self.host.disk('d1')
            return (disk['pid'] not in (None, pids[1])
                    and disk['state'] == 'open')
        wait_until(served, 60, 'another forebay-disk serves d1')

    def kill_during_recovery(self):
        """A second time as soon as there is a successor, open or not."""
        old = self.host.disk('d1')['pid']
        os.kill(old, signal.SIGKILL)
        heir = wait_until(
            lambda: ({self.host.disk('d1')['pid']} - {None, old}), 30,
            'a successor starts').pop()
        os.kill(heir, signal.SIGKILL)

        def served():
            disk = self.host.disk('d1')
            return (disk['pid'] not in (None, old, heir)
                    and disk['state'] == 'open')
        wait_until(served, 60, 'a third forebay-disk serves d1')

    def pace(self, writers):
        """Sometimes at once, mostly when the last restart has proved itself:
        forebayd gives up a process that keeps dying within its first second.
        """
        self.await_writes(writers, self.random.randrange(20, 400))
        if self.random.random() < 0.7:
            wait_until(lambda: time.monotonic() > self.killed_at + 1.5, 5,
                       'time passes')

    def run_kills(self, mode, kills):
        writers = self.open_disk(mode)
        writers.start()
        ways = {'disk': lambda: self.host.kill_disk('d1', 60),
                'cached': self.host.kill_cached,
                'both': self.kill_both,
                'during recovery': self.kill_during_recovery}
        for number in range(kills):
            self.pace(writers)
            way = self.random.choice(sorted(ways))
            print(f'kill {number}: {way}')
            ways[way]()
            self.killed_at = time.monotonic()
        self.await_writes(writers, 200)
        writers.stop()
        return writers

    def assert_image_holds(self, writers, found=True):
        with open(self.image, 'rb') as file:
            for offset, wanted in writers.expected(found):
                file.seek(offset)
                self.assertEqual(file.read(len(wanted)), wanted,
                                 f'image at {offset}, seed {SEED}')

    def test_write_back_loses_no_acknowledged_write(self):
        writers = self.run_kills('write-back', KILLS)
        self.assertGreater(writers.breaks(), 0)
        self.host.cli('disk', 'close', 'd1')
        self.assert_image_holds(writers)

    def test_write_through_is_on_the_backend_when_acknowledged(self):
        writers = self.run_kills('write-through', max(KILLS // 4, 2))
        # What was under way at a kill may still be in the log only.
        self.assert_image_holds(writers, found=False)
        self.host.cli('disk', 'close', 'd1')
        self.assert_image_holds(writers)

    def test_write_around_loses_no_acknowledged_write(self):
        writers = self.run_kills('write-around', max(KILLS // 4, 2))
        self.host.cli('disk', 'close', 'd1')
        self.assert_image_holds(writers)


if __name__ == '__main__':
    tap.main()
