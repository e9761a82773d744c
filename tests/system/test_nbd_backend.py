# SPDX-License-Identifier: Apache-2.0
"""A disk on an NBD server, from `disk create` to `disk delete`."""

import os
import shutil
import unittest

import nbd

import tap
from forebay import Host
from spawn import Process, folder, wait_until

SIZE = 16 << 20
SECONDS = 60


class NbdBackend(unittest.TestCase):

    def setUp(self):
        if not shutil.which('nbdkit'):
            self.skipTest('nbdkit is not installed')
        self.root = folder(self)
        self.raw = os.path.join(self.root, 'raw')
        with open(self.raw, 'wb') as file:
            file.truncate(SIZE)
        self.socket = os.path.join(self.root, 'server')
        self.uri = f'nbd+unix:///?socket={self.socket}'
        self.server = None
        self.host = Host(self.root)
        self.addCleanup(self.host.stop)
        self.host.start()

    def start_server(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.server = Process(['nbdkit', '-f', '-U', self.socket, 'file',
                               self.raw],
                              os.path.join(self.root, 'server.log'))
        self.addCleanup(self.server.kill)
        self.server.wait_for_file(self.socket)

    def refused(self, *words):
        done = self.host.try_cli(*words)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_a_disk_adopts_an_export_and_lives_with_its_server(self):
        self.start_server()
        self.host.cli('disk', 'create', 'd1', '--backend', self.uri)
        self.assertEqual(self.host.disk('d1')['size_bytes'], SIZE)
        self.host.cli('disk', 'open', 'd1')
        disk = self.host.disk('d1')
        self.assertEqual(disk['backend_status']['state'], 'connected')
        handle = nbd.NBD()
        handle.connect_uri(disk['exports']['nbd']['uri'])
        handle.pwrite(b'x' * 4096, 0)
        handle.flush()
        self.server.kill()
        wait_until(lambda: self.host.disk('d1')['backend_status']['state']
                   == 'reconnecting', SECONDS, 'the loss is noticed')
        self.assertIn('reconnecting', self.host.cli('disk', 'show', 'd1'))
        self.start_server()
        self.assertEqual(handle.pread(4096, 0), b'x' * 4096)
        handle.shutdown()
        self.host.cli('disk', 'close', 'd1')
        with open(self.raw, 'rb') as file:
            self.assertEqual(file.read(4096), b'x' * 4096)
        self.assertIn('server',
                      self.refused('disk', 'delete', 'd1', '--delete-backend'))
        self.host.cli('disk', 'delete', 'd1')
        self.assertTrue(os.path.exists(self.raw))

    def test_a_server_that_is_not_there_is_refused_with_words(self):
        text = self.refused('disk', 'create', 'd1', '--backend', self.uri)
        self.assertIn('No such file', text)
        self.assertIn('check that the server runs', text)

    def test_an_export_is_not_made_to_measure(self):
        self.start_server()
        text = self.refused('disk', 'create', 'd1', '--backend', self.uri,
                            '--size', '1GiB')
        self.assertIn(str(SIZE), text)

    def test_a_disk_grows_after_its_export_has(self):
        self.start_server()
        self.host.cli('disk', 'create', 'd1', '--backend', self.uri)
        self.host.cli('disk', 'open', 'd1')
        self.assertIn(str(SIZE), self.refused('disk', 'resize', 'd1', '--size',
                                              2 * SIZE))
        self.assertEqual(self.host.disk('d1')['size_bytes'], SIZE)
        os.truncate(self.raw, 2 * SIZE)
        self.host.cli('disk', 'resize', 'd1', '--size', 2 * SIZE)
        handle = nbd.NBD()
        handle.connect_uri(self.host.disk('d1')['exports']['nbd']['uri'])
        handle.pwrite(b'x' * 4096, 2 * SIZE - 4096)
        handle.shutdown()


if __name__ == '__main__':
    tap.main()
