# SPDX-License-Identifier: Apache-2.0
"""kill -9 in a loop under a verified load over vhost-user-blk.

The load is forebay bench: it knows what every sector must hold, keeps its
queues over the kills as a VM does, and reads back all that it has written.
"""

import json
import os
import random
import subprocess
import sys
import time
import unittest

import spawn
import tap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', '..', 'bench'))

import targets  # noqa: E402

BUILD = os.environ['FOREBAY_BUILD']
DISK_BYTES = 32 << 20
KILLS = 8


class KillLoop(unittest.TestCase):
    def setUp(self):
        self.root = spawn.folder(self)
        self.path = os.path.join(self.root, 'image')
        with open(self.path, 'wb') as file:
            file.truncate(DISK_BYTES)
        self.disk = targets.Disk(BUILD, self.root, self.path, 'd')
        self.addCleanup(self.disk.stop)
        self.daemon = None

    def add_cache(self):
        self.daemon = targets.CacheDaemon(BUILD, self.root,
                                          os.path.join(self.root, 'pool'))
        self.addCleanup(self.daemon.stop)
        self.disk.add_cache(self.daemon, 64 << 20)

    def load(self, *more):
        """A verified load of everything that a guest does."""
        return subprocess.Popen(
            [str(word) for word in self.disk.bench(
                '--read', 70, '--depth', 16, '--queues', 2, '--seconds',
                KILLS * 0.6, '--flush-every', 50, '--verify', '--reconnect',
                60, *more)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL, preexec_fn=spawn.die_with_parent)

    def kill_disk(self):
        self.disk.processes.pop().kill()
        os.unlink(self.disk.socket)
        self.disk.start()

    def run_kills(self, victims, *more):
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        load = self.load(*more)
        self.addCleanup(load.kill)
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.05, 0.5))
            chance.choice(victims)()
        text, errors = load.communicate(timeout=120)
        self.assertEqual(load.returncode, 0,
                         f'seed {seed}: {errors} {text}')
        report = json.loads(text)
        self.assertEqual(report['errors'], 0)
        self.assertEqual(report['verify']['wrong_sectors'], 0)
        self.assertGreater(report['verify']['read_back_blocks'], 0)
        return report

    def test_a_disk_that_is_killed_loses_no_request(self):
        self.disk.start()
        report = self.run_kills([self.kill_disk])
        self.assertGreater(report['reconnects'], 0)

    def test_packed_virtqueues_lose_no_request_either(self):
        self.disk.start()
        report = self.run_kills([self.kill_disk], '--packed')
        self.assertGreater(report['reconnects'], 0)

    def test_a_cached_disk_that_is_killed_loses_no_write(self):
        self.add_cache()
        self.disk.start()
        self.run_kills([self.kill_disk])

    def test_the_cache_daemon_may_die_as_well(self):
        self.add_cache()
        self.disk.start()
        self.run_kills([self.kill_disk, self.kill_daemon])

    def kill_daemon(self):
        self.daemon.process.kill()
        self.daemon.start()


if __name__ == '__main__':
    tap.main()
