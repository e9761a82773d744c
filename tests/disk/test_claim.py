# SPDX-License-Identifier: Apache-2.0
"""What a disk's process writes beside its image, and when: in its sandbox."""

import json
import os
import re
import subprocess
import unittest

import nbd

import tap
from data_plane import DataPlane, StartFailed
from spawn import folder

KIB = 1 << 10
MIB = 1 << 20


class Claim(unittest.TestCase):

    def plane(self, mode):
        plane = DataPlane(folder(self), 16 * MIB,
                          {'mode': mode, 'limit': '64MiB',
                           'max_dirty_age': '1h'})
        self.addCleanup(plane.stop)
        self.addCleanup(lambda: print(plane.logs()))
        plane.start()
        return plane

    def sidecar(self, plane):
        """The newest text of the two slots."""
        with open(plane.image + '.forebay/state', 'rb') as file:
            slots = [file.read(4096).decode() for _ in range(2)]
        return max(slots, key=lambda text: re.findall(r'serial (\w+)', text))

    def marked(self, plane):
        return '\nmarker ' in self.sidecar(plane)

    def generation(self, plane):
        return int(re.search(r'\ngeneration (\w+)',
                             self.sidecar(plane)).group(1), 16)

    def write(self, plane, letter):
        handle = nbd.NBD()
        handle.connect_uri(plane.uri)
        handle.pwrite(letter.encode() * 64 * KIB, 0)
        handle.flush()
        handle.shutdown()

    def edit(self, plane, **members):
        with open(plane.path('disk.json'), encoding='utf-8') as file:
            config = json.load(file)
        plane.write_json('disk.json', {**config, **members})

    def test_write_through_leaves_no_marker(self):
        plane = self.plane('write-through')
        self.write(plane, 'a')
        self.assertFalse(self.marked(plane))
        plane.disk.kill()
        plane.start_disk()
        self.assertFalse(self.marked(plane))

    def test_a_write_back_disk_is_marked_until_it_is_drained(self):
        plane = self.plane('write-back')
        self.assertTrue(self.marked(plane))
        self.write(plane, 'a')
        # In order, and not drained.
        plane.disk.stop()
        self.assertTrue(self.marked(plane))
        self.assertIn('\nclosed inode', self.sidecar(plane))
        plane.start_disk()
        self.assertNotIn('\nclosed inode', self.sidecar(plane))
        self.assertEqual(plane.cache_status()['forgotten_bytes'], 0)
        plane.disk.kill()
        self.assertTrue(self.marked(plane))
        plane.start_disk()
        plane.close()
        self.assertFalse(self.marked(plane))
        self.assertIn('\nclosed inode', self.sidecar(plane))

    def test_a_switch_to_write_back_sets_the_marker_before_it_is_true(self):
        plane = self.plane('write-through')
        self.assertTrue(plane.call('stats')['sandbox'])
        before = self.generation(plane)
        plane.call('set-properties', {'filter': 'cache', 'properties': {
            'mode': 'write-back'}})
        self.assertTrue(self.marked(plane))
        self.assertEqual(self.generation(plane), before)
        self.assertEqual(plane.cache_status()['mode']['actual'], 'write-back')
        # It stands, whatever the mode is, until a close.
        plane.call('set-properties', {'filter': 'cache', 'properties': {
            'mode': 'write-through'}})
        self.assertTrue(self.marked(plane))
        plane.close()
        self.assertFalse(self.marked(plane))

    def test_each_start_raises_the_generation_and_a_kill_loses_nothing(self):
        plane = self.plane('write-back')
        last = 0
        for letter in 'abcd':
            self.write(plane, letter)
            self.assertGreater(self.generation(plane) >> 32, last >> 32)
            last = self.generation(plane)
            plane.disk.kill()
            plane.start_disk()
            self.assertEqual(plane.cache_status()['forgotten_bytes'], 0)
        plane.close()
        with open(plane.image, 'rb') as file:
            self.assertEqual(file.read(64 * KIB), b'd' * 64 * KIB)

    def test_a_reopened_pipeline_keeps_its_claim(self):
        """A resize closes and opens everything, behind closed doors."""
        plane = self.plane('write-back')
        self.write(plane, 'a')
        before = self.generation(plane)
        plane.call('resize', {'size_bytes': 32 * MIB})
        self.assertGreater(self.generation(plane), before)
        self.assertTrue(self.marked(plane))
        self.assertEqual(plane.cache_status()['forgotten_bytes'], 0)
        plane.close()
        self.assertFalse(self.marked(plane))

    def test_another_host_is_named(self):
        plane = self.plane('write-back')
        plane.disk.kill()
        self.edit(plane, host={
            'id': '91aa0000-0000-4000-8000-000000000002', 'name': 'other'})
        with self.assertRaisesRegex(StartFailed, 'may hold data'):
            plane.start_disk()

    def test_a_disk_without_its_cache_is_not_served_over_what_that_holds(self):
        plane = self.plane('write-back')
        self.write(plane, 'a')
        plane.disk.kill()
        self.edit(plane, filters=[])
        with self.assertRaisesRegex(StartFailed, 'policy has no cache'):
            plane.start_disk()

    def test_an_image_in_a_folder_that_takes_no_file_is_no_write_back_disk(
            self):
        plane = self.plane('write-through')
        plane.close()
        subprocess.run(['rm', '-r', plane.image + '.forebay'], check=True)
        # A file in the folder's place, so that root can't make it either.
        with open(plane.image + '.forebay', 'wb'):
            pass
        with self.assertRaisesRegex(StartFailed, 'Not a directory'):
            plane.start_disk()

    def test_what_other_hosts_could_not_see_is_not_held(self):
        plane = self.plane('write-through')
        plane.close()
        self.edit(plane, sidecar=plane.path('none/here'))
        plane.start_disk()
        self.write(plane, 'a')
        # Refused, so it stays as it is.
        plane.call('set-properties', {'filter': 'cache', 'properties': {
            'mode': 'write-back'}})
        self.assertEqual(plane.cache_status()['mode']['actual'],
                         'write-through')
        plane.close()
        with open(plane.path('disk.json'), encoding='utf-8') as file:
            filters = json.load(file)['filters']
        filters[0]['properties']['mode'] = 'write-back'
        self.edit(plane, filters=filters)
        with self.assertRaisesRegex(StartFailed, 'with --sidecar'):
            plane.start_disk()

    def test_a_drainer_serves_nobody_and_leaves_the_image_whole(self):
        plane = self.plane('write-back')
        self.write(plane, 'a')
        plane.disk.kill()
        os.unlink(plane.nbd_socket)
        drainer = plane.spawn('forebay-disk', '--config',
                              plane.path('disk.json'), '--drain')
        self.assertEqual(drainer.wait(60), 0)
        self.assertFalse(os.path.exists(plane.nbd_socket))
        self.assertFalse(self.marked(plane))
        with open(plane.image, 'rb') as file:
            self.assertEqual(file.read(64 * KIB), b'a' * 64 * KIB)


if __name__ == '__main__':
    tap.main()
