# SPDX-License-Identifier: Apache-2.0
"""An SSD fails under a disk that is used: the disk goes on, and nothing of
what was acknowledged is lost, whoever is killed meanwhile.

FOREBAY_SEED repeats the choices of a run.
"""

import errno
import os
import random
import unittest

import tap
from failing_plane import FailingPlane
from failpoints import DIE, FAIL
from spawn import folder, wait_until

SEED = int(os.environ.get('FOREBAY_SEED', '0')) or random.randrange(1 << 31)
# Where it is killed on the way out of use, and at which hit.
PLACES = (('void.begin', 1), ('void.done', 1), ('below.write.done', 2),
          ('ssd.read.done', 3), ('below.flush.done', 1))
WAIT_SECONDS = 60


class Withdrawal(unittest.TestCase):

    def setUp(self):
        self.plane = FailingPlane(folder(self), SEED)
        self.addCleanup(self.plane.stop)
        self.addCleanup(lambda: print(self.plane.logs()))
        print(f'seed {SEED}')
        self.plane.start()

    def mode(self):
        return self.plane.call('stats')['filters'][0]['status']['mode']

    def fail_flush(self):
        self.plane.failpoints.arm('ssd.flush.done',
                                  self.plane.random.randrange(1, 20), FAIL,
                                  -errno.EIO)

    def await_out_of_use(self):
        self.plane.reach('ssd.flush.done', 'load')
        wait_until(lambda: self.mode()['reason'] == 'ssd-out-of-use',
                   WAIT_SECONDS, 'the SSD is out of use')
        self.assertEqual(self.mode()['actual'], 'write-around')
        self.assertEqual(self.mode()['requested'], 'write-back')

    def run_loads(self):
        hits = self.plane.failpoints.hits('engine.completed')
        self.plane.begin_loads()
        wait_until(lambda: self.plane.failpoints.hits('engine.completed') >
                   hits + 1000, WAIT_SECONDS, 'the loads run')
        self.plane.end_loads()

    def end_and_mend(self):
        """It is dying: nothing else is armed before it is up again."""
        self.plane.disk.wait(WAIT_SECONDS)
        self.plane.mend()

    def kill_at_or_end(self, name, nth):
        """At that place, or when it is out of use without getting there."""
        points = self.plane.failpoints
        points.arm(name, nth, DIE)

        def fired_or_done():
            if points.fired(name):
                return True
            try:
                return self.mode()['reason'] == 'ssd-out-of-use'
            except (OSError, ValueError):
                return False  # it is dying
        wait_until(fired_or_done, WAIT_SECONDS, name)
        if not points.fired(name):
            points.disarm(name)
            self.plane.disk.kill()
        self.end_and_mend()

    def test_a_disk_goes_on_without_the_SSD_and_is_cached_again_later(self):
        self.plane.begin_loads()
        self.fail_flush()
        self.await_out_of_use()
        self.assertIn('taken out of use', self.plane.logs())
        self.plane.end_loads()
        self.run_loads()
        self.plane.finish()
        # The SSD is well again, and its log still has what was dirty there.
        self.plane.warm = False
        self.plane.start_disk()
        self.assertIn('had been taken out of use since', self.plane.logs())
        self.assertEqual(self.mode()['actual'], 'write-back')
        self.run_loads()
        self.plane.finish()
        self.assertGreater(self.plane.checked_blocks, 0)

    def test_a_kill_on_the_way_out_of_use_loses_nothing(self):
        self.plane.begin_loads()
        for name, nth in PLACES:
            self.fail_flush()
            self.plane.reach('ssd.flush.done', 'load')
            self.kill_at_or_end(name, nth)
        self.plane.end_loads()
        self.plane.finish()
        self.assertGreater(self.plane.checked_blocks, 0)

    def test_a_kill_when_it_is_out_of_use_loses_nothing(self):
        self.plane.begin_loads()
        for _ in range(3):
            self.fail_flush()
            self.await_out_of_use()
            self.plane.failpoints.arm('engine.completed',
                                      self.plane.random.randrange(1, 64), DIE)
            self.plane.reach('engine.completed')
            self.end_and_mend()
        self.plane.end_loads()
        self.plane.finish()
        self.assertGreater(self.plane.checked_blocks, 0)


if __name__ == '__main__':
    tap.main()
