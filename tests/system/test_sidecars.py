# SPDX-License-Identifier: Apache-2.0
"""What filters keep of a disk, as an operator sees it."""

import json
import os
import unittest

import nbd

import tap
from disk_process import library
from forebay import Host
from spawn import folder


class Sidecars(unittest.TestCase):

    def setUp(self):
        self.shared = folder(self)
        self.image = os.path.join(self.shared, 'disk.raw')
        self.file = self.image + '.forebay/notes.notes'

    def place(self, *words):
        """A host that has the filter, and the disk."""
        host = Host(folder(self))
        host.filters = self.filters(host.filters)
        self.addCleanup(host.stop)
        self.addCleanup(lambda: print(host.logs()))
        host.start()
        host.policy('noted', ('notes', {}))
        host.cli('disk', 'create', 'd1', '--backend', f'file:{self.image}',
                 '--size', '16MiB', '--policy', 'noted', *words)
        return host

    def filters(self, installed):
        """Those that are installed, and the one of the tests."""
        place = folder(self)
        for name in os.listdir(installed):
            os.symlink(os.path.join(installed, name),
                       os.path.join(place, name))
        os.symlink(library('notes'), os.path.join(place, 'notes.so'))
        return place

    def write(self, host):
        handle = nbd.NBD()
        handle.connect_uri(host.disk('d1')['exports']['nbd']['uri'])
        handle.pwrite(b'x' * 4096, 0)
        handle.flush()
        handle.shutdown()

    def set_filter(self, host, name):
        path = os.path.join(host.root, 'update.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump({'name': 'noted', 'filters': [{'filter': name}]}, file)
        host.cli('policy', 'update', '-f', path)

    def round(self, host):
        """Returns: what the filter was told."""
        host.cli('disk', 'open', 'd1')
        self.write(host)
        state, = host.disk('d1')['sidecars']
        host.cli('disk', 'close', 'd1')
        return state.get('state')

    def test_show_lists_it_open_and_closed(self):
        host = self.place()
        self.assertEqual(host.disk('d1')['sidecars'], [])
        host.cli('disk', 'open', 'd1')
        sidecar, = host.disk('d1')['sidecars']
        self.assertGreater(sidecar.pop('bytes'), 0)
        self.assertEqual(sidecar, {'filter': 'notes', 'name': 'notes',
                                   'version': '1.0.0', 'state': 'new'})
        self.assertIn('notes of notes, new', host.cli('disk', 'show', 'd1'))
        host.cli('disk', 'close', 'd1')
        sidecar, = host.disk('d1')['sidecars']
        self.assertIsNone(sidecar['state'])
        self.assertRegex(host.cli('disk', 'show', 'd1'),
                         r'with +notes of notes\n')

    def test_a_policy_without_the_filter_bypasses_it(self):
        host = self.place()
        self.assertEqual(self.round(host), 'new')
        self.assertEqual(self.round(host), 'same')
        self.set_filter(host, 'throttle')
        self.assertIsNone(self.round(host))
        self.set_filter(host, 'notes')
        self.assertEqual(self.round(host), 'bypassed')
        self.assertEqual(self.round(host), 'same')

    def test_it_dies_with_its_disk_and_the_image_stays(self):
        host = self.place()
        self.round(host)
        self.assertTrue(os.path.exists(self.file))
        host.cli('disk', 'delete', 'd1')
        self.assertFalse(os.path.exists(self.file))
        self.assertTrue(os.path.exists(self.image))

    def test_it_goes_with_the_image(self):
        host = self.place()
        self.round(host)
        host.cli('disk', 'delete', 'd1', '--delete-backend')
        self.assertEqual(os.listdir(self.shared), [])

    def test_it_stays_with_the_host_that_had_it_last(self):
        """The disk moved; where it came from it is deleted."""
        source = self.place()
        self.assertEqual(self.round(source), 'new')
        target = self.place('--id', source.disk('d1')['id'])
        self.assertEqual(self.round(target), 'same')
        source.cli('disk', 'delete', 'd1')
        self.assertTrue(os.path.exists(self.file))
        self.assertEqual(self.round(target), 'same')


if __name__ == '__main__':
    tap.main()
