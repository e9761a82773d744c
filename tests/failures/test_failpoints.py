# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every failpoint, under loads that check every byte.

FOREBAY_HITS says at how many of the first hits of each; FOREBAY_SEED repeats
the choices of a run. `./run soak` kills at the first 32.
"""

import glob
import os
import random
import signal
import unittest

import tap
from failing_plane import FailingPlane, way_of
from failpoints import STOP
from forebay import BUILD, installed_tree
from spawn import folder, wait_until

HITS = int(os.environ.get('FOREBAY_HITS', '4'))
SEED = int(os.environ.get('FOREBAY_SEED', '0')) or random.randrange(1 << 31)
# What a kill can't be at: it isn't a place.
NO_PLACE = ('call',)
STOPS = ('ssd.write.done', 'below.write.begin', 'used.staged', 'ssd.flush.done',
         'engine.polled')


class Failpoints(unittest.TestCase):

    def start(self):
        plane = FailingPlane(folder(self), SEED)
        self.addCleanup(plane.stop)
        self.addCleanup(lambda: print(plane.logs()))
        print(f'seed {SEED}')
        plane.start()
        return plane

    def kill_by(self, *ways, **loads):
        """At every failpoint that is reached that way."""
        plane = self.start()
        names = [name for name in plane.failpoints.names()
                 if way_of(name) in ways and name not in NO_PLACE]
        self.assertGreater(len(names), 3)
        plane.random.shuffle(names)
        plane.begin_loads(**loads)
        for count, name in enumerate(names, 1):
            for nth in range(1, HITS + 1):
                plane.kill_at(name, nth)
            if count % 8 == 0 and count < len(names):
                plane.end_loads()
                plane.begin_loads(**loads)
        plane.end_loads()
        plane.finish()
        print(f'{plane.kills} kills, {plane.checked_blocks} blocks')
        self.assertGreater(plane.checked_blocks, 0)

    def test_a_kill_anywhere_in_a_request_loses_nothing(self):
        self.kill_by('load')

    def test_a_kill_anywhere_in_a_packed_queue_loses_nothing(self):
        self.kill_by('packed', packed=True)

    def test_a_kill_anywhere_in_a_restart_loses_nothing(self):
        self.kill_by('restart', 'reconnect')

    def test_a_kill_anywhere_in_a_close_loses_nothing(self):
        self.kill_by('close')

    def test_a_kill_anywhere_in_the_making_of_its_files_loses_nothing(self):
        self.kill_by('renew')

    def test_a_kill_anywhere_in_a_resize_loses_nothing(self):
        self.kill_by('resize')

    def test_a_kill_anywhere_in_a_handover_loses_nothing(self):
        self.kill_by('travel', exports=('nbd',))

    def test_a_disk_that_stands_still_is_waited_for(self):
        """A second process gets nothing while the first may wake up."""
        plane = self.start()
        plane.begin_loads()
        heir = dict(plane.config, control_socket=plane.path('control2'),
                    exports={'nbd': {'socket': plane.path('nbd2'),
                                     'name': 'd'}})
        plane.write_json('heir.json', heir)
        for number, name in enumerate(STOPS):
            plane.failpoints.arm(name, plane.random.randrange(1, 32), STOP)
            plane.reach(name)
            other = plane.spawn('forebay-disk', '--config',
                                plane.path('heir.json'))
            self.addCleanup(other.kill)
            wait_until(lambda: 'opening' in other.output(), 20,
                       'the second process waits')
            self.assertTrue(other.alive())
            self.assertFalse(os.path.exists(plane.path('nbd2')))
            if number % 2 == 0:
                other.kill()
                plane.disk.popen.send_signal(signal.SIGCONT)
            else:
                plane.disk.kill()
                other.wait_for_file(plane.path('nbd2'))
                self.assertEqual(other.stop(), 0)
                plane.warm = False
                plane.start_disk()
            os.truncate(plane.path('forebay-disk.log'), 0)
        plane.end_loads()
        plane.finish()


class Build(unittest.TestCase):

    @staticmethod
    def traces(path):
        with open(path, 'rb') as file:
            data = file.read()
        return [word for word in (b'FOREBAY_FAILPOINTS', b'failpoint_hit',
                                  b'inflight.resumed') if word in data]

    def test_no_program_that_is_installed_has_failpoints(self):
        prefix = installed_tree()
        programs = [path for path in glob.glob(prefix + '/**', recursive=True)
                    if os.path.isfile(path)]
        self.assertGreater(len(programs), 5)
        for path in programs:
            self.assertEqual(self.traces(path), [], path)
        self.assertEqual(len(self.traces(os.path.join(
            BUILD, 'tests/failures/failing-disk'))), 3)


if __name__ == '__main__':
    tap.main(at_once=4)
