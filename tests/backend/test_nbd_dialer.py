# SPDX-License-Identifier: Apache-2.0
"""Who connects for a disk that may not: the process beside it."""

import glob
import os
import shutil
import signal
import unittest

import spawn
import tap
from disk_process import MIB, Disk
from nbd_server_process import Server, make_raw, nbdkit

SIZE = 16 * MIB
SECONDS = 60
OWN_ID = 0x70000001
DATA = b'd' * 4096


def dialers_of(disk):
    """Pids. A fork keeps its parent's command line."""
    found = []
    for path in glob.glob('/proc/[0-9]*/comm'):
        try:
            with open(path, encoding='utf-8') as file:
                name = file.read().strip()
            with open(path[:-4] + 'cmdline', encoding='utf-8') as file:
                line = file.read()
        except OSError:
            continue
        if name == 'forebay-dialer' and disk.folder in line:
            found.append(int(path.split('/')[2]))
    return found


class Dialer(unittest.TestCase):

    def setUp(self):
        if not shutil.which('nbdkit'):
            self.skipTest('nbdkit is not installed')

    def disk(self):
        disk = Disk(self, size=SIZE)
        os.chmod(disk.folder, 0o711)
        self.raw = make_raw(disk.path('raw'), SIZE)
        self.server = nbdkit(self, disk.folder, 'file', self.raw).start()
        disk.config['backend'] = self.server.uri
        return disk

    def backend(self, disk):
        return disk.call('stats')['backend']

    def wait_state(self, disk, state):
        spawn.wait_until(lambda: self.backend(disk)['state'] == state, SECONDS,
                         state)

    def check_lives_through_an_outage(self, disk):
        handle = disk.nbd()
        handle.pwrite(DATA, 0)
        handle.flush()
        self.server.kill()
        self.wait_state(disk, 'reconnecting')
        self.server.start()
        self.assertEqual(handle.pread(len(DATA), 0), DATA)

    def as_another(self, disk):
        if os.geteuid() != 0:
            self.skipTest('another user needs root')
        disk.config['user'] = {'uid': OWN_ID, 'gid': OWN_ID}
        return disk.start_ready()

    def test_a_socket_of_roots_is_reached_again_by_another_user(self):
        disk = self.disk()
        os.chmod(self.server.socket, 0o700)
        self.as_another(disk)
        self.check_lives_through_an_outage(disk)

    def test_a_name_is_looked_up_again_by_another_user(self):
        disk = self.disk()
        port = spawn.free_port()
        self.server.kill()
        self.server = Server(self, disk.folder, lambda path: [
            'nbdkit', '-f', '-i', '127.0.0.1', '-p', str(port), '-P', path,
            'file', self.raw], name='tcp').start()
        disk.config['backend'] = f'nbd://localhost:{port}/'
        self.as_another(disk)
        self.check_lives_through_an_outage(disk)

    def test_it_ends_when_its_disk_is_killed(self):
        disk = self.disk().start_ready()
        self.assertEqual(len(dialers_of(disk)), 1)
        disk.process.kill()
        spawn.wait_until(lambda: not dialers_of(disk), SECONDS, 'its end')

    def test_it_ends_when_its_disk_closes(self):
        disk = self.disk().start_ready()
        os.kill(disk.process.pid, signal.SIGTERM)
        self.assertEqual(disk.process.wait(SECONDS), 0)
        spawn.wait_until(lambda: not dialers_of(disk), SECONDS, 'its end')

    def test_without_it_a_disk_serves_on_and_says_what_to_do(self):
        disk = self.disk().start_ready()
        handle = disk.nbd()
        for pid in dialers_of(disk):
            os.kill(pid, signal.SIGKILL)
        handle.pwrite(DATA, 0)
        self.assertEqual(handle.pread(len(DATA), 0), DATA)
        self.server.kill()
        self.server.start()
        self.wait_state(disk, 'reconnecting')
        spawn.wait_until(
            lambda: 'forebay disk restart' in self.backend(disk)['reason'],
            SECONDS, 'the reason')
        self.assertTrue(disk.process.alive())


if __name__ == '__main__':
    tap.main()
