# SPDX-License-Identifier: Apache-2.0
"""The cache's mode and durability change while somebody writes."""

import json
import os
import random
import signal
import unittest

import nbd

import tap
from forebay import CommandFailed, Host
from nbd_load import Load
from spawn import Process, wait_until

MIB = 1 << 20
SIZE_MIB = 64
SECTORS_PER_MIB = 2048
MODES = ('write-through', 'write-back', 'write-around', 'write-back',
         'write-through', 'write-around', 'write-back')


class Mode(unittest.TestCase):

    def setUp(self):
        self.host = Host.with_pool(self)
        self.work = self.host.root
        self.host.policy('gold', ('cache', self.properties('write-back')))

    @staticmethod
    def properties(mode, durability='flush', **more):
        return {'mode': mode, 'limit': '64MiB', 'max_dirty_age': '1h',
                'durability': durability, **more}

    def update(self, *words, **more):
        path = os.path.join(self.work, 'update.json')
        with open(path, 'w', encoding='utf-8') as file:
            # JSON is YAML.
            json.dump({'name': 'gold', 'filters': [
                {'filter': 'cache',
                 'properties': self.properties(*words, **more)}]}, file)
        return self.host.cli('policy', 'update', '-f', path)

    def open(self, backend, *words):
        self.host.cli('disk', 'create', 'd1', '--backend', backend,
                      '--policy', 'gold', *words)
        self.host.cli('disk', 'open', 'd1')

    def uri(self):
        return self.host.disk('d1')['exports']['nbd']['uri']

    def mode(self):
        return self.host.disk('d1')['mode']

    def wait_for_mode(self, actual):
        wait_until(lambda: self.mode()['actual'] == actual, 60,
                   f'the mode is {actual}')

    def test_a_disk_that_is_written_changes_its_mode_and_loses_nothing(self):
        image = os.path.join(self.work, 'd1.raw')
        self.open('file:' + image, '--size', f'{SIZE_MIB}MiB')
        load = Load(self.uri(), [(place * SECTORS_PER_MIB, SECTORS_PER_MIB)
                                 for place in range(0, SIZE_MIB, 4)],
                    random.Random(7))
        load.connect()
        for at, mode in enumerate(MODES):
            load.run(0.3)
            self.assertIn('updated', self.update(
                mode, 'write' if at % 2 else 'flush'))
            load.run(0.3)
            self.wait_for_mode(mode)
            self.assertEqual(self.mode()['left_bytes'], 0)
            self.assertEqual(self.mode()['requested'], mode)
            if at == 3:
                self.host.kill_disk('d1')
                load.run_until_broken()
                load.settle()
                self.wait_for_mode(mode)
        load.drain()
        load.settle()
        load.disconnect()
        self.host.cli('disk', 'close', 'd1')
        load.check_image(image)
        self.assertGreater(load.done['write'], 0)

    def test_what_is_left_and_why_is_told_until_the_mode_is_true(self):
        server, trouble = self.serve_with_trouble()
        self.open(server, '--export', 'nbd')
        client = nbd.NBD()
        client.connect_uri(self.uri())
        client.pwrite(b'w' * 8 * MIB, 0)
        open(trouble, 'w', encoding='utf-8').close()
        self.update('write-through')
        wait_until(lambda: self.mode()['reason'] == 'backend-refusing', 30,
                   'the reason is told')
        mode = self.mode()
        self.assertEqual((mode['requested'], mode['actual']),
                         ('write-through', 'write-back'))
        self.assertEqual(mode['left_bytes'], 8 * MIB)
        self.assertIn('left to write back', self.host.cli('disk', 'show',
                                                          'd1'))
        os.unlink(trouble)
        self.wait_for_mode('write-through')
        self.assertEqual(self.mode(), {
            'requested': 'write-through', 'actual': 'write-through',
            'reason': None, 'detail': None, 'writes_wait': False,
            'left_bytes': 0})
        below = nbd.NBD()
        below.connect_uri(server)
        self.assertEqual(below.pread(8 * MIB, 0), b'w' * 8 * MIB)
        client.pwrite(b't' * 4096, 0)
        self.assertEqual(below.pread(4096, 0), b't' * 4096)
        # And back: what the backend refuses is in the log.
        self.update('write-back')
        open(trouble, 'w', encoding='utf-8').close()
        client.pwrite(b'b' * 4096, 0)
        self.assertEqual(client.pread(4096, 0), b'b' * 4096)
        self.assertEqual(below.pread(4096, 0), b't' * 4096)
        os.unlink(trouble)
        self.host.cli('disk', 'flush', 'd1')
        self.assertEqual(below.pread(4096, 0), b'b' * 4096)

    def test_writes_wait_at_the_limit_and_the_reason_is_told(self):
        server, trouble = self.serve_with_trouble('ENOSPC')
        self.open(server, '--export', 'nbd')
        self.update('write-back', max_dirty_bytes='4MiB')
        client = nbd.NBD()
        client.connect_uri(self.uri())
        open(trouble, 'w', encoding='utf-8').close()
        ends = []

        def ended(error):
            ends.append(error.value)
            return 1
        for at in range(8):
            client.aio_pwrite(nbd.Buffer.from_bytearray(
                bytearray(bytes([at + 1]) * MIB)), at * MIB, ended)
        wait_until(lambda: client.poll(100) is not None
                   and self.mode().get('writes_wait'), 60, 'writes wait')
        mode = self.mode()
        self.assertEqual((mode['actual'], mode['reason']),
                         ('write-back', 'backend-refusing'))
        self.assertIn('No space left on device', mode['detail'])
        self.assertIn('backend-refusing', self.host.cli('disk', 'show', 'd1'))
        self.assertGreater(self.host.disk('d1')['dirty_age_ns'], 0)
        self.assertLess(len(ends), 8)
        self.assertIn('writes wait', self.disk_log())
        os.unlink(trouble)
        wait_until(lambda: client.poll(100) is not None and len(ends) == 8,
                   60, 'the writes end')
        self.assertEqual(ends, [0] * 8)
        wait_until(lambda: self.mode()['reason'] is None, 60,
                   'the reason is gone')
        self.host.cli('disk', 'flush', 'd1')
        below = nbd.NBD()
        below.connect_uri(server)
        for at in range(8):
            self.assertEqual(below.pread(MIB, at * MIB),
                             bytes([at + 1]) * MIB)

    def disk_log(self):
        path = os.path.join(self.host.root, 'log', 'disk-d1.log')
        with open(path, encoding='utf-8') as file:
            return file.read()

    def write_something(self):
        client = nbd.NBD()
        client.connect_uri(self.uri())
        client.pwrite(b'h' * MIB, 0)
        client.shutdown()

    def test_a_drain_for_nobody_tells_the_error_until_it_ends(self):
        server, trouble = self.serve_with_trouble('ENOSPC')
        self.open(server, '--export', 'nbd')
        self.write_something()
        open(trouble, 'w', encoding='utf-8').close()
        self.host.cli('disk', 'close', 'd1', '--background')
        wait_until(lambda: 'No space left on device'
                   in (self.host.disk('d1')['reason'] or ''), 60,
                   'the error is told')
        self.assertEqual(self.host.disk('d1')['state'], 'draining')
        os.unlink(trouble)
        wait_until(lambda: self.host.disk('d1')['state'] == 'closed', 60,
                   'it is drained')
        self.assertEqual(self.host.disk('d1')['dirty_bytes'], 0)

    def test_a_close_over_a_backend_that_hangs_fails_and_says_why(self):
        server, _ = self.serve_with_trouble()
        self.open(server, '--export', 'nbd')
        self.write_something()
        os.kill(self.server.pid, signal.SIGSTOP)
        try:
            with self.assertRaisesRegex(CommandFailed, 'stays open'):
                self.host.cli('disk', 'close', 'd1')
            disk = self.host.disk('d1')
            self.assertEqual(disk['state'], 'open')
            self.assertEqual(disk['mode']['reason'], 'backend-silent')
        finally:
            os.kill(self.server.pid, signal.SIGCONT)
        self.host.cli('disk', 'close', 'd1')
        self.assertEqual(self.host.disk('d1')['dirty_bytes'], 0)

    def test_a_policy_that_holds_leaves_it_for_the_next_open(self):
        server, _ = self.serve_with_trouble()
        self.open(server, '--export', 'nbd')
        self.update('write-back', on_close='hold')
        self.write_something()
        self.assertIn('stays in its cache',
                      self.host.cli('disk', 'close', 'd1'))
        self.host.kill_daemon()
        self.host.start()
        disk = self.host.disk('d1')
        self.assertEqual((disk['state'], disk['pid']), ('closed', None))
        self.assertIn('still in its cache', disk['reason'])
        below = nbd.NBD()
        below.connect_uri(server)
        self.assertEqual(below.pread(MIB, 0), bytes(MIB))
        self.host.cli('disk', 'open', 'd1')
        self.assertEqual(self.host.disk('d1')['dirty_bytes'], MIB)
        client = nbd.NBD()
        client.connect_uri(self.uri())
        self.assertEqual(client.pread(MIB, 0), b'h' * MIB)
        client.shutdown()
        self.host.cli('disk', 'close', 'd1')
        # And once more, to have it on the backend.
        self.assertIn('everything is on',
                      self.host.cli('disk', 'close', 'd1'))
        self.assertEqual(below.pread(MIB, 0), b'h' * MIB)

    def serve_with_trouble(self, error='EIO'):
        """A backend that refuses writes while a file exists."""
        socket = os.path.join(self.work, 'below.sock')
        trouble = os.path.join(self.work, 'trouble')
        server = Process(
            ['nbdkit', '--foreground', '--unix', socket, '--filter=error',
             'memory', f'{SIZE_MIB}M', f'error-pwrite={error}',
             'error-pwrite-rate=100%', f'error-pwrite-file={trouble}'],
            os.path.join(self.work, 'nbdkit.out'))
        # It would wait for its clients to leave.
        self.addCleanup(server.kill)
        self.server = server
        server.wait_for_file(socket)
        os.chmod(socket, 0o777)
        os.chmod(self.work, 0o755)
        return f'nbd+unix:///?socket={socket}', trouble

    def test_the_pool_of_the_cache_does_not_change_while_it_is_open(self):
        image = os.path.join(self.work, 'd1.raw')
        self.open('file:' + image, '--size', f'{SIZE_MIB}MiB')
        with self.assertRaisesRegex(CommandFailed, 'pool'):
            self.update('write-through', pool='other')
        self.assertEqual(self.mode()['requested'], 'write-back')


if __name__ == '__main__':
    tap.main(at_once=4)
