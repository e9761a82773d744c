# SPDX-License-Identifier: Apache-2.0
"""TLS in front of the NBD export, with the commands of docs/exports.md."""

import os
import random
import re
import shutil
import socket
import subprocess
import unittest

import spawn
import tap
from nbd_disks import MIB, SECONDS, PlainDisk, run
from nbd_server import TOP

SIZE = 8 * MIB


def commands(name):
    """The block of the page that is called so."""
    with open(os.path.join(TOP, 'docs/exports.md'), encoding='utf-8') as file:
        return re.search(rf'^```sh {name}\n(.*?)^```$', file.read(),
                         re.MULTILINE | re.DOTALL).group(1)


class Tls(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        for program in ('openssl', 'nbdkit'):
            if not shutil.which(program):
                raise unittest.SkipTest(f'{program} is not installed')

    def setUp(self):
        self.disk = PlainDisk(self, SIZE)
        self.image = self.disk.path('source')
        with open(self.image, 'wb') as file:
            file.write(random.Random(1).randbytes(SIZE))
        run('nbdcopy', self.image, self.disk.uri)
        self.port = spawn.free_port()
        self.words = {
            'CERTS': self.disk.path('certs'), 'HOST': 'localhost',
            'SOCKET': self.disk.nbd_socket, 'PORT': str(self.port),
            'NAME': 'd', 'BACKUP': self.disk.path('backup'),
            'PATH': os.environ['PATH'], 'HOME': self.disk.root}
        self.shell(commands('tls-certificates'))
        self.server = spawn.Process(
            ['sh', '-c', 'exec ' + commands('tls-server')],
            self.disk.path('nbdkit'), env=self.words)
        self.addCleanup(self.server.stop)
        spawn.wait_until(self.listens, SECONDS, 'nbdkit listens')

    def listens(self):
        self.assertTrue(self.server.alive(), self.server.output())
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', self.port)) == 0

    def shell(self, script, **words):
        done = subprocess.run(
            ['sh', '-eu', '-c', script], env=dict(self.words, **words),
            text=True, capture_output=True, stdin=subprocess.DEVNULL,
            timeout=4 * SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def uri(self, scheme, host='localhost', certificates='client'):
        uri = f'{scheme}://{host}:{self.port}/d'
        if certificates:
            path = os.path.join(self.words['CERTS'], certificates)
            uri += f'?tls-certificates={path}'
        return uri

    def refused(self, uri):
        text = run('nbdinfo', uri, code=1)
        self.assertIn('nbdinfo:', text)
        return text

    def test_a_backup_over_tls_is_the_disk(self):
        self.shell(commands('tls-client'))
        run('cmp', self.image, self.words['BACKUP'])
        text = run('nbdinfo', self.uri('nbds'))
        self.assertIn('newstyle-fixed with TLS', text)
        self.assertIn('base:allocation', text)
        run('nbdcopy', self.image, self.uri('nbds'))

    def test_a_client_in_plain_text_is_refused(self):
        self.refused(self.uri('nbd', certificates=None))

    def test_a_client_without_a_certificate_is_refused(self):
        only_ca = os.path.join(self.words['CERTS'], 'nobody')
        os.mkdir(only_ca)
        shutil.copy(os.path.join(self.words['CERTS'], 'ca-cert.pem'), only_ca)
        self.refused(self.uri('nbds', certificates='nobody'))

    def test_a_client_of_another_authority_is_refused(self):
        # Its own authority signed it, and it trusts the server's.
        self.shell(commands('tls-certificates'),
                   CERTS=self.disk.path('other'))
        shutil.copy(os.path.join(self.words['CERTS'], 'ca-cert.pem'),
                    self.disk.path('other/client/ca-cert.pem'))
        self.refused(self.uri('nbds', certificates='../other/client'))

    def test_a_server_of_another_name_is_not_believed(self):
        self.refused(self.uri('nbds', host='127.0.0.1'))


if __name__ == '__main__':
    tap.main()
