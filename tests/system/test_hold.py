# SPDX-License-Identifier: Apache-2.0
"""A backend that is held while its disk is written, as backups need it."""

import filecmp
import os
import random
import re
import shutil
import signal
import subprocess
import unittest

import nbd

import tap
from forebay import Host, find_program
from nbd_load import Load
from sector_journal import SECTOR, Journal
from spawn import Process, wait_until

MIB = 1 << 20
SIZE_MIB = 64
SECTORS_PER_MIB = MIB // SECTOR
PAGE = os.path.join(os.path.dirname(__file__), '..', '..', 'docs', 'backup.md')


class History(Journal):
    """Knows of each version how many had been submitted when it was acked."""

    def __init__(self):
        super().__init__()
        self.all = {}  # sector: its versions, oldest first
        self.known = {}  # version: the newest one when it was acked

    def write_begin(self, first, count):
        version = super().write_begin(first, count)
        for sector in range(first, first + count):
            self.all.setdefault(sector, []).append(version)
        return version

    def write_end(self, first, count, version):
        super().write_end(first, count, version)
        self.known[version] = self.version

    def check_moment(self, test, copy, acked, submitted):
        """
        The copy has what was in @acked, nothing behind version @submitted, and
        with any write all those that had been acked before it was sent.
        """
        stands = {sector: version for sector, version
                  in self.versions(0, copy) if sector in self.all}
        newest = max(stands.values())
        test.assertLessEqual(newest, submitted)
        for sector, version in stands.items():
            test.assertGreaterEqual(version, acked.get(sector, 0))
            before = [other for other in self.all[sector]
                      if self.known.get(other, self.version) < newest]
            if before:
                test.assertGreaterEqual(version, before[-1],
                                        f'sector {sector}')


class Hold(unittest.TestCase):

    def setUp(self):
        self.host = Host.with_pool(self)
        self.work = self.host.root
        self.image = os.path.join(self.work, 'd1.raw')
        self.copy = os.path.join(self.work, 'copy')

    def open(self, mode='write-back', limit='512MiB'):
        self.host.policy('gold', ('cache', self.properties(mode, limit)))
        self.host.cli('disk', 'create', 'd1', '--backend',
                      'file:' + self.image, '--size', f'{SIZE_MIB}MiB',
                      '--policy', 'gold')
        self.host.cli('disk', 'open', 'd1')

    @staticmethod
    def properties(mode, limit='512MiB'):
        return {'mode': mode, 'limit': limit, 'max_dirty_age': '1h'}

    def client(self):
        client = nbd.NBD()
        client.connect_uri(self.host.disk('d1')['exports']['nbd']['uri'])
        return client

    def load(self):
        load = Load(self.host.disk('d1')['exports']['nbd']['uri'],
                    [(place * SECTORS_PER_MIB, SECTORS_PER_MIB)
                     for place in range(0, SIZE_MIB, 8)],
                    random.Random(7))
        load.journal = History()
        load.connect()
        load.run(1)
        return load

    def state(self):
        hold = self.host.disk('d1')['hold']
        return hold and hold['state']

    def refused(self, words, *command):
        done = self.host.try_cli(*command)
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertRegex(done.stderr, words)

    def shell(self, load, script):
        """Runs a script that finds forebay, while @load goes on."""
        tools = os.path.dirname(find_program(self.host.prefix, 'forebay'))
        environment = dict(os.environ, FOREBAY_ROOT=self.work, DISK='d1',
                           IMAGE=self.image, COPY=self.copy,
                           PATH=tools + ':' + os.environ['PATH'])
        with subprocess.Popen(['sh', '-c', script], env=environment,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as process:
            while process.poll() is None:
                load.step()
            return process.returncode, process.stdout.read()

    def test_a_copy_under_a_hold_is_the_disk_of_one_moment(self):
        self.open()
        load = self.load()
        acked = dict(load.journal.acked)
        code, words = self.shell(load, 'forebay disk flush $DISK --hold')
        self.assertEqual(code, 0, words)
        self.assertIn('forebay disk release d1', words)
        self.assertEqual(self.state(), 'held')
        self.assertIn('ends within', self.host.cli('disk', 'show', 'd1'))
        submitted = load.journal.version
        load.run(0.5)
        first = os.path.join(self.work, 'first')
        shutil.copy(self.image, first)
        code, words = self.shell(
            load, 'qemu-img convert -U -f raw -O raw $IMAGE $COPY')
        self.assertEqual(code, 0, words)
        load.run(0.5)
        self.assertGreater(load.journal.version, submitted)
        self.assertTrue(filecmp.cmp(first, self.copy, shallow=False))
        self.assertTrue(filecmp.cmp(first, self.image, shallow=False))
        self.assertIn('had stayed as it was',
                      self.host.cli('disk', 'release', 'd1'))
        self.assertIsNone(self.state())
        with open(self.copy, 'rb') as file:
            load.journal.check_moment(self, file.read(), acked, submitted)
        # And afterwards all of it goes below, as ever.
        load.run(0.3)
        load.drain()
        load.disconnect()
        self.host.cli('disk', 'close', 'd1')
        load.check_image(self.image)

    def test_the_commands_of_the_page_make_a_backup(self):
        with open(PAGE, encoding='utf-8') as file:
            script = re.search(r'```sh\n(.*?)```', file.read(), re.S).group(1)
        self.open()
        load = self.load()
        acked = dict(load.journal.acked)
        code, words = self.shell(load, script)
        self.assertEqual(code, 0, words)
        raw = os.path.join(self.work, 'raw')
        subprocess.run(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw',
                        self.copy, raw], check=True)
        with open(raw, 'rb') as file:
            load.journal.check_moment(self, file.read(), acked,
                                      load.journal.version)

    def test_a_hold_outlives_forebayd(self):
        self.open()
        client = self.client()
        client.pwrite(b'a' * MIB, 0)
        self.host.cli('disk', 'flush', 'd1', '--hold')
        client.pwrite(b'b' * MIB, 0)
        self.host.kill_daemon()
        self.host.start()
        wait_until(lambda: self.state() == 'held', 30, 'the hold is known')
        self.host.kill_cached()
        client.pwrite(b'c' * MIB, 0)
        with open(self.image, 'rb') as file:
            self.assertEqual(file.read(MIB), b'a' * MIB)
        self.host.cli('disk', 'release', 'd1')
        self.host.cli('disk', 'flush', 'd1')
        with open(self.image, 'rb') as file:
            self.assertEqual(file.read(MIB), b'c' * MIB)

    def test_a_hold_that_died_with_its_process_is_told_as_lost(self):
        self.open()
        self.host.cli('disk', 'flush', 'd1', '--hold')
        self.host.kill_disk('d1', signal.SIGKILL)
        self.assertEqual(self.state(), 'lost')
        self.refused('d1 is held .lost.', 'disk', 'flush', 'd1', '--hold')
        self.refused('is lost: .* process has ended', 'disk', 'release', 'd1')
        # Once told, it is forgotten.
        self.refused('d1 is not held', 'disk', 'release', 'd1')
        self.host.cli('disk', 'flush', 'd1', '--hold')
        self.host.cli('disk', 'release', 'd1')

    def test_a_hold_that_died_while_nobody_looked_is_told_as_lost(self):
        self.open()
        self.host.cli('disk', 'flush', 'd1', '--hold')
        pid = self.host.disk('d1')['pid']
        self.host.kill_daemon()
        os.kill(pid, signal.SIGKILL)
        self.host.start()
        wait_until(lambda: self.host.disk('d1')['state'] == 'open', 30,
                   'the disk is served again')
        self.refused('is lost', 'disk', 'release', 'd1')

    def test_a_backend_that_refuses_is_tried_until_the_time_is_over(self):
        server, trouble = self.serve_with_trouble()
        self.host.policy('gold', ('cache', self.properties('write-back')))
        self.host.cli('disk', 'create', 'd1', '--backend', server, '--policy',
                      'gold', '--export', 'nbd')
        self.host.cli('disk', 'open', 'd1')
        client = self.client()
        client.pwrite(b'a' * MIB, 0)
        with open(trouble, 'w', encoding='utf-8'):
            pass
        self.refused("can't be held: its time was over", 'disk', 'flush', 'd1',
                     '--hold', '--timeout', '2s')
        # Nothing is left of it, and the VM has noticed nothing.
        self.assertIsNone(self.state())
        self.assertEqual(client.pread(4096, 0), b'a' * 4096)
        os.unlink(trouble)
        self.host.cli('disk', 'flush', 'd1', '--hold')
        client.pwrite(b'b' * MIB, 0)
        below = nbd.NBD()
        below.connect_uri(server)
        self.assertEqual(below.pread(MIB, 0), b'a' * MIB)
        self.host.cli('disk', 'release', 'd1')

    def serve_with_trouble(self):
        """A backend that refuses writes while a file exists."""
        socket = os.path.join(self.work, 'below.sock')
        trouble = os.path.join(self.work, 'trouble')
        server = Process(
            ['nbdkit', '--foreground', '--unix', socket, '--filter=error',
             'memory', f'{SIZE_MIB}M', 'error-pwrite=EIO',
             'error-pwrite-rate=100%', f'error-pwrite-file={trouble}'],
            os.path.join(self.work, 'nbdkit.out'))
        # It would wait for its clients to leave.
        self.addCleanup(server.kill)
        server.wait_for_file(socket)
        os.chmod(socket, 0o777)
        os.chmod(self.work, 0o755)
        return f'nbd+unix:///?socket={socket}', trouble

    def test_a_hold_ends_before_the_vm_would_wait_for_space(self):
        self.open(limit='64MiB')
        client = self.client()
        self.host.cli('disk', 'flush', 'd1', '--hold')
        for place in range(SIZE_MIB):
            client.pwrite(b'w' * MIB, place * MIB)
        self.assertEqual(self.state(), 'ended')
        self.refused('no more room for what the VM writes',
                     'disk', 'release', 'd1')

    def test_a_time_that_is_none_is_refused(self):
        self.open()
        for time in ('0s', '169h', 'long', '10ms'):
            with self.subTest(time=time):
                done = self.host.try_cli('disk', 'flush', 'd1', '--hold',
                                         '--timeout', time)
                self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIsNone(self.state())
        self.host.cli('disk', 'flush', 'd1', '--hold', '--timeout', '168h')
        self.host.cli('disk', 'release', 'd1')

    def test_a_hold_ends_after_its_time_and_its_release_says_so(self):
        self.open()
        client = self.client()
        client.pwrite(b'a' * MIB, 0)
        self.host.cli('disk', 'flush', 'd1', '--hold', '--timeout', '1s')
        wait_until(lambda: self.state() == 'ended', 30, 'the hold ends')
        self.assertIn('its time was over',
                      self.host.cli('disk', 'show', 'd1'))
        self.refused('ended by itself .* its time was over',
                     'disk', 'release', 'd1')
        self.assertIsNone(self.state())

    def test_what_would_end_a_hold_is_refused(self):
        self.open()
        self.refused('not held', 'disk', 'release', 'd1')
        self.host.cli('disk', 'flush', 'd1', '--hold')
        for command in (('flush', 'd1', '--hold'), ('flush', 'd1'),
                        ('close', 'd1'), ('restart', 'd1'),
                        ('resize', 'd1', '--size', f'{2 * SIZE_MIB}MiB')):
            with self.subTest(command=command):
                self.refused('d1 is held .held.', 'disk', *command)
        self.host.cli('disk', 'release', 'd1')
        self.host.cli('disk', 'close', 'd1')

    def test_a_disk_that_writes_through_can_not_be_held(self):
        self.open('write-through')
        self.refused('needs write-back', 'disk', 'flush', 'd1', '--hold')
        self.assertIsNone(self.state())

    def test_a_disk_without_a_cache_can_not_be_held(self):
        self.host.cli('disk', 'create', 'd1', '--backend',
                      'file:' + self.image, '--size', f'{SIZE_MIB}MiB')
        self.host.cli('disk', 'open', 'd1')
        self.refused('has no cache', 'disk', 'flush', 'd1', '--hold')

    def test_a_switch_of_the_mode_ends_a_hold(self):
        self.open()
        self.host.cli('disk', 'flush', 'd1', '--hold')
        path = os.path.join(self.work, 'update.json')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('{"name": "gold", "filters": [{"filter": "cache", '
                       '"properties": {"mode": "write-through", '
                       '"limit": "512MiB", "max_dirty_age": "1h"}}]}')
        self.host.cli('policy', 'update', '-f', path)
        self.assertEqual(self.state(), 'ended')
        self.refused('went to another mode', 'disk', 'release', 'd1')


if __name__ == '__main__':
    tap.main(at_once=3)
