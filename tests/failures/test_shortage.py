# SPDX-License-Identifier: Apache-2.0
"""The n-th call for memory, space or a descriptor fails, for n = 1, 2, ...

In each step of a disk's life, until the step makes no more such calls. It is
refused with a reason, or goes on without: no process ends by a signal, and
what was acknowledged before is there afterwards. The same with each kind of
I/O of the cache, whose n-th one fails.
"""

import errno
import os
import random
import signal
import time
import unittest

import tap
from data_plane import StartFailed
from failing_plane import END_SECONDS, Failed, FailingPlane
from failpoints import FAIL
from spawn import folder, wait_until

SEED = int(os.environ.get('FOREBAY_SEED', '0')) or random.randrange(1 << 31)
CALLS_MAX = 2000
IO_ERRORS = int(os.environ.get('FOREBAY_HITS', '4'))
LOAD_SECONDS = 0.3


class Shortage(unittest.TestCase):

    def setUp(self):
        print(f'seed {SEED}')
        self.plane = FailingPlane(folder(self), SEED)
        self.addCleanup(self.plane.stop)
        self.addCleanup(lambda: print(self.plane.logs()))
        self.plane.start()
        self.refused = []

    def write_something(self):
        self.plane.begin_loads()
        time.sleep(LOAD_SECONDS)
        self.plane.end_loads()

    def each(self, step):
        """@step(), again and again, with a call more that succeeds."""
        for nth in range(1, CALLS_MAX):
            self.plane.failpoints.arm('call', nth, FAIL, -errno.ENOMEM)
            step()
            spare = not self.plane.failpoints.fired('call')
            self.plane.failpoints.disarm('call')
            self.alive_or_refused(self.plane.disk)
            self.alive_or_refused(self.plane.cached)
            self.plane.mend()
            if spare:
                print(f'{nth - 1} calls, {len(self.refused)} refusals')
                self.assertGreater(nth, 3)
                return
        self.fail(f'more than {CALLS_MAX} calls')

    def alive_or_refused(self, process):
        if process.alive():
            return
        code = process.wait(END_SECONDS)
        self.assertIn(code, (0, 1, -signal.SIGKILL), self.plane.logs())

    def start_or_refuse(self, start):
        """A start says that it is ready, or why it can't."""
        try:
            start()
        except StartFailed as failed:
            self.refused.append(str(failed))

    def end_well(self):
        self.write_something()
        self.plane.finish()
        self.assertGreater(self.plane.checked_blocks, 0)

    def test_a_start_without_enough_is_refused_or_goes_on(self):
        self.write_something()

        def start():
            self.plane.disk.kill()
            self.start_or_refuse(self.plane.start_disk)
        self.each(start)
        self.assertTrue(any('"failed"' in text for text in self.refused))
        self.end_well()

    def test_a_start_of_forebay_cached_is_refused_or_goes_on(self):
        self.write_something()

        def start():
            self.plane.cached.kill()
            self.start_or_refuse(self.plane.start_cached)
        self.each(start)
        self.end_well()

    def test_what_a_first_open_makes_is_made_whole_or_not_at_all(self):
        self.write_something()

        def renew():
            self.plane.failpoints.disarm('call')
            nth = renew.nth = renew.nth + 1
            if not self.plane.close_and_wait():
                self.fail(self.plane.logs())
            self.plane.forget_files()
            self.plane.failpoints.arm('call', nth, FAIL, -errno.ENOMEM)
            self.start_or_refuse(self.plane.start_disk)
        renew.nth = 0
        self.each(renew)
        self.end_well()

    def ask(self, ask, *words):
        """An answer comes, or the connection ends: nobody waits for ever."""
        try:
            ask(*words)
        except (ConnectionError, ValueError, RuntimeError) as refused:
            self.refused.append(str(refused))

    def settled(self):
        """The disk has ended, or serves."""
        try:
            return (not self.plane.disk.alive()
                    or self.plane.call('status')['state'] == 'ready')
        except (OSError, ValueError, RuntimeError):
            return False

    def settle(self):
        wait_until(self.settled, END_SECONDS, 'the disk has ended or serves')

    def close(self):
        self.ask(self.plane.call, 'close', {'drain': True}, END_SECONDS)
        self.settle()

    def test_a_close_without_enough_is_refused_or_goes_on(self):
        self.write_something()
        self.each(self.close)
        self.end_well()

    def test_clients_and_requests_without_enough_lose_nothing(self):
        """Connections, loads, questions, new properties."""
        def serve():
            try:
                self.plane.begin_loads()
            except Failed as refused:
                self.refused.append(str(refused))
                self.plane.kill_loads()
                self.plane.begin_loads()
            self.ask(self.plane.call, 'stats')
            self.ask(self.plane.call, 'set-properties', {
                'filter': 'cache', 'properties': {
                    'mode': 'write-back', 'max_dirty_age': '200ms'}})
            self.plane.mend()
            self.plane.end_loads(may_fail=True)
        self.each(serve)
        self.plane.finish()

    def test_a_resize_without_enough_is_refused_or_goes_on(self):
        self.write_something()

        def resize():
            self.ask(self.plane.grow)
            self.settle()
        self.each(resize)
        self.plane.restart()
        self.plane.finish()

    def fail_io(self, name, error):
        """Its first hits, each in a life of its own."""
        for nth in range(1, IO_ERRORS + 1):
            self.plane.failpoints.arm(name, nth, FAIL, -error)
            self.start_or_refuse(lambda: self.plane.reach(name))
            self.alive_or_refused(self.plane.disk)
            self.plane.restart()

    def test_io_of_the_cache_that_fails_loses_nothing(self):
        self.plane.begin_loads()
        for name, error in (('ssd.write.done', errno.ENOSPC),
                            ('ssd.flush.done', errno.EIO),
                            ('superblock.done', errno.ENOSPC),
                            ('below.write.done', errno.ENOSPC),
                            ('below.flush.done', errno.EIO),
                            ('below.zero.done', errno.EIO)):
            self.fail_io(name, error)
        self.plane.end_loads(may_fail=True)
        self.plane.finish()


if __name__ == '__main__':
    tap.main(at_once=4)
