# SPDX-License-Identifier: Apache-2.0
"""A planned restart under load, and what a start waits for.

A whole host; `forebay bench --verify` stands for the VM and for an NBD client,
both on one disk.
"""

import json
import os
import signal
import subprocess
import unittest

import spawn
import tap
from disk_process import Disk
from forebay import Host, find_program

MIB = 1 << 20
SIZE_MIB = 64
RESTARTS = 3
DEADLINE_SECONDS = 120


class Bench:
    """One load on its own half of the disk."""

    def __init__(self, test, host, target, offset_mib):
        self.test = test
        self.process = subprocess.Popen(
            [find_program(host.prefix, 'forebay'), 'bench', *target,
             '--offset', f'{offset_mib}MiB', '--span', f'{SIZE_MIB // 2}MiB',
             '--read', '40', '--flush', '2', '--depth', '8', '--seconds', '15',
             '--verify', '--reconnect', '60', '--destroy-data', '-o', 'json'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
            preexec_fn=spawn.die_with_parent)
        test.addCleanup(self.process.kill)

    def assert_verified(self):
        text, errors = self.process.communicate(timeout=DEADLINE_SECONDS)
        self.test.assertEqual(self.process.returncode, 0, f'{errors} {text}')
        report = json.loads(text)
        self.test.assertEqual(report['errors'], 0)
        self.test.assertEqual(report['verify']['wrong_blocks'], 0)
        self.test.assertGreater(report['reconnects'], 0)


class Restart(unittest.TestCase):

    def setUp(self):
        self.work = spawn.folder(self)
        self.image = os.path.join(self.work, 'disk.raw')
        self.host = Host(self.work)
        self.addCleanup(self.host.stop)
        self.addCleanup(lambda: print(self.host.logs()))
        self.host.start()

    def create(self, *policy):
        self.host.cli('disk', 'create', 'd1', '--backend',
                      f'file:{self.image}', '--size', f'{SIZE_MIB}MiB',
                      *policy)

    def open_cached(self):
        self.host.pool()
        self.host.policy('p', ('cache', {'mode': 'write-back',
                                         'limit': '128MiB',
                                         'max_dirty_age': '60s'}))
        self.create('--policy', 'p')
        self.host.cli('disk', 'open', 'd1')

    def loads(self):
        exports = self.host.disk('d1')['exports']
        return [Bench(self, self.host, ['--vhost-user',
                                        exports['vhost-user-blk']['socket']],
                      0),
                Bench(self, self.host, ['--nbd', exports['nbd']['uri']],
                      SIZE_MIB // 2)]

    def log(self):
        return self.host.cache_status('d1')['log']

    def await_records(self, count):
        """More of them, appended by the process that serves now."""
        start = self.log()['records']
        spawn.wait_until(lambda: self.log()['records'] >= start + count,
                         DEADLINE_SECONDS, 'the load goes on')

    def restart(self):
        answer = self.host.json('disk', 'restart', 'd1')
        log = self.log()
        print(f'restart: {answer["stall_ns"] / 1e6:.0f} ms by forebayd, '
              f'{log["recovery_read_bytes"] // 1024} KiB read')
        self.assertEqual(answer['state'], 'open')
        self.assertGreater(answer['stall_ns'], 0)
        return log

    def test_restarts_under_load_do_less_than_a_kill_and_lose_nothing(self):
        self.open_cached()
        loads = self.loads()
        for _ in range(RESTARTS):
            self.await_records(200)
            planned = self.restart()
            self.assertEqual(planned['warm_start'], 1)
            self.assertEqual(planned['recovered_records'], 0)
            self.assertEqual(planned['recovery_whole_segments'], 0)
        self.await_records(200)
        self.host.kill_disk('d1')
        killed = self.log()
        self.assertEqual(killed['warm_start'], 1)
        self.assertGreater(killed['recovery_whole_segments'], 0)
        self.assertGreater(killed['recovery_read_bytes'],
                           planned['recovery_read_bytes'])
        for load in loads:
            load.assert_verified()

    def test_what_a_process_kept_that_crashed_is_not_believed(self):
        self.open_cached()
        loads = self.loads()
        self.await_records(200)
        self.host.kill_disk('d1', signal.SIGSEGV)
        log = self.log()
        self.assertEqual(log['warm_start'], 0)
        self.assertGreater(log['recovered_records'], 0)
        self.assertGreater(log['recovery_checked_records'], 0)
        self.await_records(200)
        # That one was believable again.
        self.host.kill_disk('d1')
        self.assertEqual(self.log()['warm_start'], 1)
        for load in loads:
            load.assert_verified()

    def test_without_what_was_kept_the_log_is_read(self):
        self.open_cached()
        loads = self.loads()
        self.await_records(200)
        self.host.kill_cached()
        self.host.kill_disk('d1')
        log = self.log()
        self.assertEqual(log['warm_start'], 0)
        self.assertGreater(log['recovered_records'], 0)
        for load in loads:
            load.assert_verified()

    # A predecessor that somebody else started, and stopped.

    def open_beside_a_stopped_one(self):
        """Returns the one that is stopped, and `forebay disk open`."""
        self.create()
        first = Disk(self, size=SIZE_MIB * MIB, folder=spawn.folder(self))
        first.config['backend'] = 'file:' + self.image
        first.start_ready()
        pid = first.process.popen.pid
        os.kill(pid, signal.SIGSTOP)
        asked = spawn.Process(
            [find_program(self.host.prefix, 'forebay'), '--root', self.work,
             'disk', 'open', 'd1'], os.path.join(self.work, 'open.out'))
        self.addCleanup(asked.kill)
        spawn.wait_until(
            lambda: f'(pid {pid})' in (self.host.disk('d1')['reason'] or ''),
            DEADLINE_SECONDS, 'the reason names the stopped process')
        self.assertIn(f'(pid {pid})', self.host.cli('disk', 'show', 'd1'))
        return first, asked

    def assert_serves(self, asked):
        self.assertEqual(asked.wait(DEADLINE_SECONDS), 0, asked.output())
        self.assertEqual(self.host.disk('d1')['state'], 'open')

    def test_a_start_goes_on_when_the_stopped_predecessor_is_killed(self):
        first, asked = self.open_beside_a_stopped_one()
        os.kill(first.process.popen.pid, signal.SIGKILL)
        self.assert_serves(asked)

    def test_a_start_goes_on_when_the_stopped_one_continues_and_ends(self):
        first, asked = self.open_beside_a_stopped_one()
        pid = first.process.popen.pid
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(first.process.wait(DEADLINE_SECONDS), 0)
        self.assert_serves(asked)


if __name__ == '__main__':
    tap.main(at_once=3)
