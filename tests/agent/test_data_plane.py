# SPDX-License-Identifier: Apache-2.0
"""forebayd with the real forebay-disk, forebay-cached and filters."""

import glob
import os
import signal
import subprocess
import unittest

import tap
from agent_host import BUILD, AgentHost
from spawn import wait_until

MIB = 1 << 20


class RealHost(AgentHost):
    """The programs and filters of the build instead of scripts."""

    def __init__(self, test):
        super().__init__(test, neighbours=False)

    def start(self):
        for program in ('disk/forebay-disk', 'cached/forebay-cached'):
            self.link(os.path.join(BUILD, 'src', program), self.programs)
        for name in ('cache', 'throttle'):
            self.link(os.path.join(BUILD, 'filters', name, name + '.so'),
                      self.filters)
        super().start()

    @staticmethod
    def link(target, folder):
        path = os.path.join(folder, os.path.basename(target))
        if not os.path.lexists(path):
            os.symlink(target, path)


class DataPlane(unittest.TestCase):
    def setUp(self):
        self.host = RealHost(self)
        self.host.post('/policies', {'name': 'gold', 'filters': [
            {'filter': 'throttle'},
            {'filter': 'cache', 'properties': {
                'limit': '64MiB', 'max_dirty_age': '1h'}}]})

    def make_pool(self):
        os.mkdir(self.host.root + '/ssd')
        self.host.post('/pools', {'name': 'ssd',
                                  'paths': [self.host.root + '/ssd']})

    def make_dirty(self):
        """An open disk with 4 MiB that are in its cache alone."""
        self.make_pool()
        self.host.make_disk(policy='gold', size_bytes=16 * MIB)
        disk = self.host.post('/disks/d1/open')
        self.data = os.path.join(self.host.root, 'data')
        with open(self.data, 'wb') as file:
            file.write(os.urandom(4 * MIB))
        self.copy(self.data, disk['exports']['nbd']['uri'])
        wait_until(lambda: self.host.disk()['dirty_bytes'] == 4 * MIB, 10,
                   'dirty')
        return disk

    def copy(self, source, target):
        subprocess.run(['nbdcopy', source, target], check=True, timeout=60,
                       stdin=subprocess.DEVNULL)

    def assert_backend_has_the_data(self):
        with open(self.data, 'rb') as data, \
                open(self.host.root + '/d1.img', 'rb') as image:
            self.assertEqual(data.read(), image.read(4 * MIB))

    def assert_disk_has_the_data(self):
        out = os.path.join(self.host.root, 'out')
        self.copy(self.host.disk()['exports']['nbd']['uri'], out)
        with open(self.data, 'rb') as data, open(out, 'rb') as read:
            self.assertEqual(data.read(), read.read(4 * MIB))

    def kill(self, pid):
        """kill -9, and waits until a new process has the disk open."""
        os.kill(pid, signal.SIGKILL)

        def back():
            disk = self.host.disk()
            return disk['state'] == 'open' and disk['pid'] != pid
        wait_until(back, 30, 'the disk is back')

    def test_the_shipped_filters_describe_themselves(self):
        items = self.host.get('/filters')['items']
        self.assertEqual([(item['name'], item['class'], item['issue'])
                          for item in items],
                         [('cache', 'cache', None),
                          ('throttle', 'qos', None)])

    def test_a_closed_disk_has_everything_on_its_backend(self):
        self.make_dirty()
        disk = self.host.post('/disks/d1/close')
        self.assertEqual(disk['dirty_bytes'], 0)
        self.assert_backend_has_the_data()

    def test_a_flushed_disk_has_everything_on_its_backend(self):
        self.make_dirty()
        disk = self.host.post('/disks/d1/flush')
        self.assertEqual((disk['state'], disk['dirty_bytes']), ('open', 0))
        self.assert_backend_has_the_data()

    def test_a_killed_disk_comes_back_with_its_dirty_data(self):
        disk = self.make_dirty()
        self.kill(disk['pid'])
        self.assertEqual(self.host.disk()['dirty_bytes'], 4 * MIB)
        self.assert_disk_has_the_data()

    def test_forebayd_finds_what_runs_and_restarts_what_died(self):
        pid = self.make_dirty()['pid']
        self.host.daemon.kill()
        self.host.start()
        self.assertEqual(self.host.wait_for_state('open')['pid'], pid)
        self.host.daemon.kill()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.host.runs(pid), 10, 'gone')
        self.host.start()
        self.assertNotEqual(self.host.wait_for_state('open')['pid'], pid)
        self.host.post('/disks/d1/close')
        self.assert_backend_has_the_data()

    def test_a_disk_opens_again_after_the_cache_daemon_was_killed(self):
        self.make_dirty()
        os.kill(self.host.get('/status')['cached']['pid'], signal.SIGKILL)
        self.host.post('/disks/d1/close')
        self.host.post('/disks/d1/open')
        self.assert_disk_has_the_data()

    def test_a_disk_that_died_dirty_is_deleted_only_on_demand(self):
        pid = self.make_dirty()['pid']
        self.host.daemon.kill()
        os.kill(pid, signal.SIGKILL)
        # Its program is gone, so it can't come back.
        program = os.path.join(self.host.programs, 'forebay-disk')
        os.unlink(program)
        os.symlink('/nowhere', program)
        self.host.start()
        self.host.request('POST', '/disks/d1/close')
        status, problem = self.host.request('DELETE', '/disks/d1')
        self.assertEqual((status, problem['code']), (409, 'disk-dirty'))
        self.assertIn('64MiB', problem['detail'])
        self.assertEqual(len(glob.glob(
            self.host.root + '/ssd/forebay/*.cache')), 1)
        status, answer = self.host.request(
            'DELETE', '/disks/d1?discard_dirty=true')
        self.assertEqual((status, answer['discarded_dirty_bytes']),
                         (200, 64 * MIB))
        self.assertEqual(glob.glob(self.host.root + '/ssd/forebay/*.cache'),
                         [])

    def test_an_image_that_another_process_has_is_refused(self):
        self.make_pool()
        self.host.make_disk(size_bytes=16 * MIB)
        path = self.host.root + '/d1.img'
        export = self.host.root + '/qsd.sock'
        with subprocess.Popen(
                ['qemu-storage-daemon', '--blockdev',
                 f'driver=file,node-name=f,filename={path}', '--nbd-server',
                 f'addr.type=unix,addr.path={export}', '--export',
                 'type=nbd,id=e,node-name=f,writable=on'],
                stdin=subprocess.DEVNULL) as other:
            try:
                wait_until(lambda: os.path.exists(export), 20, 'qsd is up')
                status, problem = self.host.request('POST',
                                                    '/disks/d1/open')
            finally:
                other.kill()
        self.assertEqual((status, problem['code']), (502, 'open-failed'))
        self.assertIn(path, problem['detail'])
        self.assertEqual(self.host.disk()['desired'], 'closed')
        self.host.post('/disks/d1/open')

    def test_an_image_that_has_gone_is_named(self):
        self.host.make_disk()
        os.unlink(self.host.root + '/d1.img')
        status, problem = self.host.request('POST', '/disks/d1/open')
        self.assertEqual((status, problem['code']), (502, 'open-failed'))
        self.assertIn('/d1.img', problem['detail'])

    def test_a_cache_without_a_pool_is_refused_at_once(self):
        self.host.make_disk(policy='gold')
        status, problem = self.host.request('POST', '/disks/d1/open')
        self.assertEqual((status, problem['code']), (502, 'open-failed'))
        self.assertIn('no pool', problem['detail'])
        self.assertEqual(self.host.disk()['state'], 'closed')

    def test_a_corrupt_cache_file_is_refused_and_kept(self):
        self.make_dirty()
        self.host.post('/disks/d1/close')
        path, = glob.glob(self.host.root + '/ssd/forebay/*.cache')
        with open(path, 'r+b') as file:
            file.write(os.urandom(MIB))
        status, problem = self.host.request('POST', '/disks/d1/open')
        self.assertEqual((status, problem['code']), (502, 'open-failed'))
        self.assertTrue(os.path.exists(path))
        self.assert_backend_has_the_data()


if __name__ == '__main__':
    tap.main(at_once=3)
