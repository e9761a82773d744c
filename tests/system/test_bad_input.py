# SPDX-License-Identifier: Apache-2.0
"""What people get wrong, and what the world does to them, on a whole host.

Every refusal is one line on stderr that names the object and says what to do,
a non-zero exit, and nothing half-made.
"""

import os
import subprocess
import unittest

import tap
from forebay import Host, find_program
from spawn import Process, folder

MIB = 1 << 20


class BadInputTest(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.host = Host(self.work)
        self.addCleanup(self.host.stop)
        self.host.start()
        self.image = os.path.join(self.work, 'd.raw')

    def with_cache(self):
        """A pool, a policy with a cache, and a disk d1 that is closed."""
        os.mkdir(os.path.join(self.work, 'pool'))
        self.host.cli('pool', 'create', 'ssd',
                      os.path.join(self.work, 'pool'))
        self.host.policy('gold', ('cache', {'limit': '64MiB'}))
        self.host.cli('disk', 'create', 'd1', '--backend', self.image,
                      '--size', '64MiB', '--policy', 'gold')

    def refused(self, *words, names=()):
        """Runs forebay, which must refuse; returns its one line."""
        done = self.host.try_cli(*words)
        line = done.stderr.rstrip('\n')
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertEqual(done.stdout, '')
        self.assertNotEqual(line, '')
        self.assertNotIn('\n', line)
        for name in names:
            self.assertIn(name, line)
        return line

    def names(self, noun):
        return [item['name'] for item in self.host.json(noun, 'list')['items']]

    def cache_file(self):
        """The one file of the pool."""
        found = [os.path.join(where, name) for where, _, names in
                 os.walk(os.path.join(self.work, 'pool')) for name in names
                 if os.path.getsize(os.path.join(where, name)) >= MIB]
        self.assertEqual(len(found), 1, found)
        return found[0]

    def test_a_backend_that_does_not_exist_is_named(self):
        missing = os.path.join(self.work, 'missing.raw')
        self.refused('disk', 'create', 'd1', '--backend', missing,
                     names=[missing, 'size'])
        self.assertEqual(self.names('disk'), [])
        self.assertFalse(os.path.exists(missing))

    def test_a_backend_in_a_missing_folder_is_named(self):
        missing = os.path.join(self.work, 'no', 'where.raw')
        self.refused('disk', 'create', 'd1', '--backend', missing,
                     '--size', '1MiB', names=[missing])
        self.assertEqual(self.names('disk'), [])

    def test_a_size_that_is_no_multiple_of_512_is_refused(self):
        self.refused('disk', 'create', 'd1', '--backend', self.image,
                     '--size', '1000', names=['d1', '1000', '512'])
        self.assertEqual(self.names('disk'), [])
        self.assertFalse(os.path.exists(self.image))

    def test_an_image_of_another_size_is_left_as_it_is(self):
        with open(self.image, 'wb') as file:
            file.truncate(MIB)
        self.refused('disk', 'create', 'd1', '--backend', self.image,
                     '--size', '2MiB', names=[self.image])
        self.assertEqual(os.path.getsize(self.image), MIB)
        self.assertEqual(self.names('disk'), [])

    def test_a_name_used_twice_is_refused(self):
        self.host.cli('disk', 'create', 'd1', '--backend', self.image,
                      '--size', '1MiB')
        other = os.path.join(self.work, 'other.raw')
        self.refused('disk', 'create', 'd1', '--backend', other, '--size',
                     '1MiB', names=['d1'])
        self.assertFalse(os.path.exists(other))
        self.assertEqual(self.names('disk'), ['d1'])

    def test_an_image_used_twice_is_refused(self):
        self.host.cli('disk', 'create', 'd1', '--backend', self.image,
                      '--size', '1MiB')
        self.refused('disk', 'create', 'd2', '--backend', self.image,
                     names=[self.image, 'd1'])
        self.assertEqual(self.names('disk'), ['d1'])

    def test_an_unknown_filter_is_named(self):
        with self.assertRaisesRegex(Exception, 'throttel'):
            self.host.policy('p', ('throttel', {}))
        self.assertEqual(self.names('policy'), [])

    def test_an_unknown_property_is_named(self):
        with self.assertRaisesRegex(Exception, 'limti'):
            self.host.policy('p', ('cache', {'limti': '1GiB'}))
        self.assertEqual(self.names('policy'), [])

    def test_a_value_out_of_range_is_named(self):
        with self.assertRaisesRegex(Exception, 'limit'):
            self.host.policy('p', ('cache', {'limit': '1KiB'}))
        self.assertEqual(self.names('policy'), [])

    def test_a_pool_path_that_is_no_folder_is_named(self):
        self.refused('pool', 'create', 'ssd', '/dev/null',
                     names=['/dev/null'])
        self.assertEqual(self.names('pool'), [])

    def mounted(self, options):
        """A file system of its own; skips where that isn't allowed."""
        where = os.path.join(self.work, 'fs')
        os.mkdir(where)
        done = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', options, 'forebay-test', where],
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest('may not mount: ' + done.stderr.strip())
        self.addCleanup(subprocess.run, ['umount', '-l', where], check=True)
        return where

    def test_a_pool_on_a_read_only_file_system_is_refused(self):
        where = self.mounted('ro')
        self.refused('pool', 'create', 'ssd', where, names=[where])
        self.assertEqual(self.names('pool'), [])

    def test_a_pool_on_a_full_file_system_is_refused(self):
        where = self.mounted('size=1M')
        self.refused('pool', 'create', 'ssd', where, names=[where])
        self.assertEqual(self.names('pool'), [])
        self.assertEqual(os.listdir(where), [])

    def test_a_corrupt_cache_file_is_refused_and_kept(self):
        self.with_cache()
        self.host.cli('disk', 'open', 'd1')
        self.host.cli('disk', 'close', 'd1')
        path = self.cache_file()
        # All that the log's reader looks at first: both superblocks.
        with open(path, 'r+b') as file:
            file.write(b'\xa5' * MIB)
        self.refused('disk', 'open', 'd1', names=['d1'])
        self.assertEqual(self.host.disk('d1')['pid'], None)
        with open(path, 'rb') as file:
            self.assertEqual(file.read(MIB), b'\xa5' * MIB)

    def test_an_image_that_qemu_has_open_is_refused(self):
        self.host.cli('disk', 'create', 'd1', '--backend', self.image,
                      '--size', '1MiB')
        socket = os.path.join(self.work, 'qemu.sock')
        holder = Process(['qemu-nbd', '-f', 'raw', '-t', '-k', socket,
                          self.image], os.path.join(self.work, 'qemu.log'))
        self.addCleanup(holder.kill)
        holder.wait_for_file(socket)
        self.refused('disk', 'open', 'd1', names=[self.image])

    def test_an_open_image_is_refused_to_qemu(self):
        self.host.cli('disk', 'create', 'd1', '--backend', self.image,
                      '--size', '1MiB')
        self.host.cli('disk', 'open', 'd1')
        done = subprocess.run(
            ['qemu-io', '-f', 'raw', '-c', 'write 0 512', self.image],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('lock', done.stderr)

    def test_a_second_process_on_an_open_disk_is_refused(self):
        self.with_cache()
        self.host.cli('disk', 'open', 'd1')
        disk = self.host.disk('d1')
        config = os.path.join(self.work, 'lib', 'disks', disk['id'] + '.json')
        done = subprocess.run(
            [find_program(self.host.prefix, 'forebay-disk'), '--config',
             config], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.host.disk('d1')['pid'], disk['pid'])
        self.assertEqual(self.host.disk('d1')['state'], 'open')


if __name__ == '__main__':
    tap.main(at_once=2)
