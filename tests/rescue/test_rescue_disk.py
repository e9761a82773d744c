# SPDX-License-Identifier: Apache-2.0
"""forebay disk rescue, after a real forebay-disk was killed with dirty data."""

import glob
import json
import os
import random
import re
import shutil
import subprocess
import unittest

import nbd
import spawn
import tap
from data_plane import DataPlane
from forebay import BUILD, TOP

FOREBAY = os.path.join(BUILD, 'src/cli/forebay')
PAGE = os.path.join(TOP, 'docs/rescue.md')
MIB = 1 << 20
SIZE = 48 * MIB


def contents(path):
    with open(path, 'rb') as file:
        return file.read()


class RescueDisk(unittest.TestCase):

    def setUp(self):
        self.folder = spawn.folder(self)
        self.plane = DataPlane(self.folder, SIZE, {
            'mode': 'write-back', 'limit': 64 * MIB,
            'max_dirty_age': 3600 * 10**9})
        self.addCleanup(self.plane.stop)
        self.image = self.plane.image
        self.out = self.plane.path('out')
        self.random = random.Random(7)
        with open(self.image, 'r+b') as file:
            file.write(self.random.randbytes(4 * MIB))
        self.wanted = bytearray(contents(self.image))
        self.plane.start()

    @property
    def cache(self):
        return glob.glob(self.plane.path('pool/forebay/*.cache'))[0]

    def client(self):
        handle = nbd.NBD()
        handle.connect_uri(self.plane.uri)
        return handle

    def write(self, client, offset, count):
        data = self.random.randbytes(count)
        client.pwrite(data, offset)
        self.wanted[offset:offset + count] = data

    def write_much(self, client):
        for _ in range(150):
            count = 512 * self.random.randint(1, 80)
            self.write(client, 512 * self.random.randrange(
                (SIZE - count) // 512), count)
        for offset in (0, 512, MIB - 512, SIZE - 512):
            self.write(client, offset, 512)
        client.flush()

    def kill_all(self):
        self.plane.disk.kill()
        self.plane.cached.kill()
        # The last I/O of a killed process ends when the kernel says so.
        spawn.wait_until(
            lambda: self.run_rescue('list', self.cache).returncode != 4, 30,
            'the lock of the killed process goes')

    @staticmethod
    def run_rescue(*words):
        return subprocess.run([FOREBAY, 'disk', 'rescue', *words],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              check=False, timeout=60)

    def rescue(self, *words):
        done = self.run_rescue(*words, '-o', 'json')
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_all_that_a_client_was_told_is_written_is_given(self):
        self.write_much(self.client())
        self.kill_all()
        self.assertFalse(contents(self.image) == self.wanted)
        report = self.rescue('check', self.cache)
        self.assertEqual((report['state'], report['bad']), ('whole', []))
        self.assertGreater(report['dirty_bytes'], MIB)
        self.rescue('extract', self.cache, '--base', self.image, '--to',
                    self.out)
        self.assertTrue(contents(self.out) == self.wanted)
        # In place, on a copy of what the backend has.
        shutil.copy(self.image, self.plane.path('copy'))
        self.rescue('extract', self.cache, '--to', self.plane.path('copy'),
                    '--in-place')
        self.assertTrue(contents(self.plane.path('copy')) == self.wanted)

    def test_what_was_given_is_what_a_start_brings_down(self):
        self.write_much(self.client())
        self.kill_all()
        self.rescue('extract', self.cache, '--base', self.image, '--to',
                    self.out)
        self.plane.start()
        self.write(self.client(), 4096, 4096)
        self.assertEqual(self.plane.close(), 0)
        self.plane.cached.stop()
        self.assertTrue(contents(self.image) == self.wanted)
        out = bytearray(contents(self.out))
        out[4096:8192] = self.wanted[4096:8192]
        self.assertTrue(out == self.wanted)
        # All of it is clean now.
        report = self.rescue('list', self.cache)
        self.assertEqual(report['dirty_bytes'], 0)
        self.assertIsNotNone(report['rows'][-1]['last_sequence'])

    def test_an_open_disk_is_refused_by_its_name(self):
        self.write(self.client(), 0, 4096)
        for words in (['list', self.cache], ['extract', self.cache, '--to',
                                             self.out]):
            done = self.run_rescue(*words)
            self.assertEqual(done.returncode, 4)
            self.assertIn(f'disk:d (pid {self.plane.disk.pid}) uses it',
                          done.stderr.decode())
        report = self.rescue('list', self.cache, '--force-read')
        self.assertTrue(report['in_use'])
        self.assertEqual(report['dirty_bytes'], 4096)

    def test_its_image_in_use_is_refused_by_its_name(self):
        self.write(self.client(), 0, 4096)
        self.kill_all()
        os.mkdir(self.plane.path('other'))
        other = DataPlane(self.plane.path('other'), SIZE, {
            'mode': 'write-back', 'limit': 64 * MIB})
        self.addCleanup(other.stop)
        other.start()
        done = self.run_rescue('extract', self.cache, '--to', other.image,
                               '--in-place')
        self.assertEqual(done.returncode, 4)
        self.assertIn(f'disk:d (pid {other.disk.pid}) uses it',
                      done.stderr.decode())

    def test_the_worked_example_works(self):
        self.write_much(self.client())
        self.kill_all()
        with open(PAGE, encoding='utf-8') as file:
            page = file.read()
        script = '\n'.join(re.findall(r'(?ms)^```sh\n(.*?)^```', page))
        for name, path in (('/mnt/ssd', self.plane.path('pool')),
                           ('UUID.cache', os.path.basename(self.cache)),
                           ('/srv/images/web1.raw', self.image),
                           ('/srv/images/rescued.raw', self.out)):
            self.assertIn(name, script)
            script = script.replace(name, path)
        done = subprocess.run(
            ['sh', '-exc', script], cwd=self.folder, timeout=60,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, env=dict(os.environ, PATH=os.path.dirname(FOREBAY) +
                                  ':' + os.environ['PATH']))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(contents(self.out) == self.wanted)
        self.assertTrue(contents(self.image) == self.wanted)


if __name__ == '__main__':
    tap.main()
