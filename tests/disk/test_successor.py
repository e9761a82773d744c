# SPDX-License-Identifier: Apache-2.0
"""A second process for the same disk: what it waits for, and until when."""

import json
import os
import shutil
import signal
import subprocess
import unittest

import spawn
import tap
from disk_process import LOAD, Disk

# One request stays below us so long; less than the wait for a lock.
HELD_SECONDS = 3
DEPTH = 8
# The image's file system takes one request after the other.
COUNT = DEPTH + 2
SLOW_BYTES = 1 << 19
DEADLINE_SECONDS = 200


def slow_image(test, what):
    """An image whose reads ('r') or writes ('w') stay below us for seconds."""
    for tool in ('nbdfuse', 'nbdkit', 'umount'):
        if not shutil.which(tool):
            test.skipTest(f'{tool} is not installed')
    if os.geteuid() != 0 or not os.path.exists('/dev/fuse'):
        test.skipTest('mounting by FUSE needs root and /dev/fuse')
    folder = spawn.folder(test)
    mount = os.path.join(folder, 'm')
    os.mkdir(mount)
    image = os.path.join(mount, 'image')
    fuse = spawn.Process(
        ['nbdfuse', image, '--command', 'nbdkit', '-s', '--exit-with-parent',
         '--filter=delay', 'memory', str(SLOW_BYTES),
         f'{what}delay={HELD_SECONDS}'],
        os.path.join(folder, 'fuse.log'))
    # The image may be in use for as long as a request takes.
    test.addCleanup(fuse.popen.wait, DEADLINE_SECONDS)
    test.addCleanup(subprocess.run, ['umount', '--lazy', mount], check=False)
    spawn.wait_until(lambda: os.path.exists(image), DEADLINE_SECONDS,
                     'the slow file system')
    return image


class Successor(unittest.TestCase):

    def successor(self, first):
        """Another process with the same configuration, started."""
        second = Disk(self, folder=first.folder)
        second.config = dict(first.config)
        for path in (first.path('nbd'), first.path('vhost'),
                     first.path('control')):
            if os.path.exists(path):
                os.unlink(path)
        second.start()
        return second

    def await_state(self, disk, wanted, word=''):
        while True:
            state = disk.next_state()
            self.assertIsNotNone(state, disk.process.output())
            text = state.get('reason') or state.get('message') or ''
            if state['state'] == wanted and word in text:
                return text
            self.assertIn(state['state'], ('opening', wanted))

    def test_it_waits_for_a_stopped_predecessor_and_says_for_whom(self):
        first = Disk(self).start_ready()
        pid = first.process.popen.pid
        os.kill(pid, signal.SIGSTOP)
        second = self.successor(first)
        self.assertIn(str(pid), self.await_state(second, 'opening',
                                                 str(pid)))
        self.assertIn(str(pid), second.call('status')['reason'])
        os.kill(pid, signal.SIGKILL)
        self.await_state(second, 'ready')
        self.assertEqual(second.nbd().pread(512, 0), bytes(512))

    def test_it_gives_up_when_the_predecessor_lives_on(self):
        first = Disk(self).start_ready()
        handle = first.nbd()
        pid = first.process.popen.pid
        os.kill(pid, signal.SIGSTOP)
        second = self.successor(first)
        self.await_state(second, 'opening', str(pid))
        os.kill(pid, signal.SIGCONT)
        self.assertIn(str(pid), self.await_state(second, 'failed'))
        self.assertEqual(second.process.wait(DEADLINE_SECONDS), 1)
        handle.pwrite(b's' * 512, 0)
        handle.flush()
        self.assertEqual(handle.pread(512, 0), b's' * 512)

    def begin_load(self, disk, read_percent):
        load = subprocess.Popen(
            [LOAD, 'bench', '--vhost-user', disk.path('vhost'), '--read',
             str(read_percent), '--destroy-data', '--depth', str(DEPTH),
             '--queues', '1', '--count', str(COUNT), '--verify', '--reconnect', '60', '-o', 'json'],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL, preexec_fn=spawn.die_with_parent)
        self.addCleanup(load.kill)
        return load

    def hold(self, what, read_percent):
        """Requests that are below a disk, or wait there; and the load."""
        disk = Disk(self, size=SLOW_BYTES)
        disk.config['backend'] = 'file:' + slow_image(self, what)
        disk.start_ready()
        self.addCleanup(lambda: print(disk.process.output()))
        link = disk.connect()
        load = self.begin_load(disk, read_percent)
        spawn.wait_until(lambda: self.counts(disk, link)['in_flight'] == DEPTH,
                         DEADLINE_SECONDS, 'requests are below us')
        return disk, load

    @staticmethod
    def counts(disk, link=None):
        return disk.call('stats', link)['exports']['vhost_user_blk']

    def assert_taken_up(self, second, load):
        """Each request that wasn't used once more, and the data right."""
        text, errors = load.communicate(timeout=DEADLINE_SECONDS)
        self.assertEqual(load.returncode, 0, f'{errors} {text}')
        report = json.loads(text)
        self.assertEqual(report['errors'], 0)
        self.assertEqual(report['verify']['wrong_blocks'], 0)
        self.assertGreater(report['reconnects'], 0)
        self.assertEqual(self.counts(second)['replayed'], DEPTH)

    def run_killed(self, what, read_percent, stopped=False):
        disk, load = self.hold(what, read_percent)
        pid = disk.process.pid
        # The kernel doesn't end it before the I/O that it has.
        os.kill(pid, signal.SIGSTOP if stopped else signal.SIGKILL)
        second = self.successor(disk)
        self.await_state(second, 'opening',
                         f'(pid {pid})' if stopped else 'wait')
        os.kill(pid, signal.SIGKILL)
        # As forebayd does, when one has waited for as long as it may.
        while not self.gets_ready(second):
            second = self.successor(disk)
        self.assert_taken_up(second, load)

    def gets_ready(self, disk):
        while True:
            state = disk.next_state()
            self.assertIsNotNone(state, disk.process.output())
            if state['state'] == 'failed':
                self.assertIn('image', state['message'])
                self.assertEqual(disk.process.wait(DEADLINE_SECONDS), 1)
            if state['state'] != 'opening':
                return state['state'] == 'ready'

    def test_it_serves_when_writes_of_the_killed_one_have_ended(self):
        self.run_killed('w', 0)

    def test_it_serves_when_writes_of_a_stopped_one_have_ended(self):
        self.run_killed('w', 0, stopped=True)

    def test_it_serves_when_reads_of_the_killed_one_have_ended(self):
        self.run_killed('r', 100)


if __name__ == '__main__':
    tap.main(at_once=6)
