# SPDX-License-Identifier: Apache-2.0
"""The NBD server with the clients that people use."""

import json
import os
import random
import subprocess
import unittest

import spawn
import tap
from nbd_server import MIB, SECONDS, Disk, Server

SIZE = 48 * MIB


def run(*argv):
    done = subprocess.run([str(word) for word in argv], text=True,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=2 * SECONDS, check=False)
    if done.returncode != 0:
        raise AssertionError(f'{argv} ended with {done.returncode}:\n'
                             f'{done.stdout}{done.stderr}')
    return done.stdout


class Clients:
    """What every server has to stand."""

    def start(self):
        raise NotImplementedError

    def setUp(self):
        self.server = self.start()
        self.folder = spawn.folder(self)
        self.uri = self.server.uri

    def image(self, name, seed):
        path = os.path.join(self.folder, name)
        with open(path, 'wb') as file:
            file.write(random.Random(seed).randbytes(SIZE))
        return path

    def same(self, path, other):
        run('cmp', path, other)

    def test_nbdinfo_sees_what_is_offered(self):
        info = json.loads(run('nbdinfo', '--json', self.uri))
        export = info['exports'][0]
        self.assertEqual(info['protocol'], 'newstyle-fixed')
        self.assertEqual(export['export-name'], 'memory')
        self.assertEqual(export['export-size'], SIZE)
        self.assertEqual(export['block_size_minimum'], 512)
        self.assertEqual(export['block_size_preferred'], 4096)
        self.assertEqual(export['block_size_maximum'], 32 * MIB)
        for able in ('can_flush', 'can_fua', 'can_multi_conn', 'can_trim',
                     'can_zero', 'can_df'):
            self.assertTrue(export[able], able)
        self.assertFalse(export['is_read_only'])

    def test_nbdinfo_lists_the_export(self):
        listing = run('nbdinfo', '--list', '--json',
                      f'nbd+unix:///?socket={self.server.path}')
        self.assertEqual(json.loads(listing)['exports'][0]['export-name'],
                         'memory')

    def test_nbdcopy_there_and_back_keeps_every_byte(self):
        source = self.image('source', 1)
        target = os.path.join(self.folder, 'target')
        for argv in (('--flush',), ('--connections=8', '--requests=64'),
                     ('--request-size=33554432',), ('--synchronous',)):
            with self.subTest(argv=argv):
                run('nbdcopy', *argv, source, self.uri)
                run('nbdcopy', *argv, self.uri, target)
                self.same(source, target)
                os.unlink(target)

    def test_qemu_img_converts_and_compares(self):
        source = self.image('source', 2)
        qcow2 = os.path.join(self.folder, 'q')
        target = os.path.join(self.folder, 'target')
        run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', '-n', '-m', '8',
            '-W', source, self.uri)
        run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', source, self.uri)
        run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', self.uri, qcow2)
        run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', qcow2, target)
        self.same(source, target)
        info = json.loads(run('qemu-img', 'info', '--output=json', '-f', 'raw',
                              self.uri))
        self.assertEqual(info['virtual-size'], SIZE)

    def test_qemu_img_benches_reads_writes_and_flushes(self):
        base = ('qemu-img', 'bench', '-c', '4000', '-d', '64')
        run(*base, '-f', 'raw', '-s', '4096', self.uri)
        run(*base, '-f', 'raw', '-s', '4096', '-w', '--flush-interval=100',
            self.uri)
        run(*base, '-s', '65536', '-w', '--image-opts',
            f'driver=nbd,server.type=unix,server.path={self.server.path},'
            'export=memory')
        self.assertGreaterEqual(self.server.counts()['flush'], 40)

    def test_qemu_io_verifies_patterns(self):
        run('qemu-io', '-f', 'raw',
            '-c', 'write -P 17 0 4M', '-c', 'write -f -P 18 4M 512',
            '-c', 'aio_write -P 19 8M 1M', '-c', 'aio_write -P 20 9M 31M',
            '-c', 'aio_flush', '-c', 'flush',
            '-c', 'read -P 17 0 4M', '-c', 'read -P 18 4M 512',
            '-c', 'read -P 19 8M 1M', '-c', 'read -P 20 9M 31M',
            '-c', 'write -z 1M 1M', '-c', 'read -P 0 1M 1M',
            '-c', 'write -z -u 2M 1M', '-c', 'read -P 0 2M 1M',
            '-c', 'discard 3M 1M', self.uri)

    def test_fio_verifies_what_eight_jobs_wrote(self):
        engines = subprocess.run(['fio', '--enghelp'], text=True, check=True,
                                 capture_output=True).stdout
        if 'nbd' not in engines.split():
            self.skipTest('this fio has no nbd engine')
        report = run('fio', '--name=job', '--ioengine=nbd',
                     f'--uri={self.uri}', '--rw=randwrite', '--numjobs=8',
                     '--bsrange=512-128k', '--iodepth=16', '--size=6m',
                     '--offset_increment=6m', '--verify=crc32c',
                     '--verify_fatal=1', '--fsync=50', '--randrepeat=0',
                     '--group_reporting', '--output-format=json')
        job = json.loads(report[report.index('{'):])['jobs'][0]
        self.assertEqual(job['error'], 0)
        self.assertEqual(job['write']['io_bytes'], SIZE)
        self.assertEqual(job['read']['io_bytes'], SIZE)

    def tearDown(self):
        self.server.wait_no_clients()
        self.assertEqual(self.server.stats()['connections_broken'], 0)
        self.assertEqual(self.server.end(), 0)


class OverMemory(Clients, unittest.TestCase):

    def start(self):
        # Completion in reverse order shows who relies on another.
        return Server(self, SIZE, 'reversed')


class OverDisk(Clients, unittest.TestCase):

    def start(self):
        return Disk(self, SIZE)


if __name__ == '__main__':
    tap.main()
