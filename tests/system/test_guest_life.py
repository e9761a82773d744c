# SPDX-License-Identifier: Apache-2.0
"""A guest in QEMU while its disk is restarted, resized, or arrives."""

import os
import unittest

import tap
from forebay import Host
from guest import Guest
from spawn import folder, wait_until

MIB = 1 << 20
SIZE_MIB = 256
REGION_MIB = 64


class GuestLife(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.image = os.path.join(self.work, 'disk.raw')
        self.host = self.new_host(self.work)
        self.guest = None

    def new_host(self, work):
        host = Host(work)
        self.addCleanup(host.stop)
        self.addCleanup(lambda: print(host.logs()))
        host.start()
        return host

    def create(self, *policy):
        self.host.cli('disk', 'create', 'd1', '--backend',
                      f'file:{self.image}', '--size', f'{SIZE_MIB}MiB',
                      *policy)

    def cache_policy(self):
        os.mkdir(os.path.join(self.work, 'pool'))
        self.host.cli('pool', 'create', 'ssd',
                      os.path.join(self.work, 'pool'))
        self.host.policy('gold', ('cache', {'mode': 'write-back',
                                            'limit': '64MiB',
                                            'max_dirty_age': '5s'}))
        return ('--policy', 'gold')

    def boot(self):
        socket = self.host.disk('d1')['exports']['vhost-user-blk']['socket']
        self.guest = Guest(self.work, [socket], os.environ['GUEST_VERIFY'])
        self.addCleanup(self.guest.stop)
        self.guest.start()

    def requests(self):
        return sum(entry['count'] for entry in
                   self.host.stats('d1')['requests'].values())

    def await_requests(self, count):
        start = self.requests()
        wait_until(lambda: self.requests() >= start + count, 60,
                   f'{count} more requests complete')

    def begin_workload(self, start_mib=0):
        """Of a region that still reads as zeros, until end_workload()."""
        self.guest.begin(f'guest-verify /dev/vda {start_mib * MIB} '
                         f'{REGION_MIB * MIB} 3600 7 8')

    def end_workload(self):
        """It goes on, then reads back all that it wrote."""
        self.await_requests(1000)
        self.guest.interrupt()
        _, output = self.guest.finish(180)
        self.assertIn('VERIFY ok', output)
        self.assertEqual(self.guest.errors(), [])

    def restart_and_resize(self):
        self.host.cli('disk', 'open', 'd1')
        self.boot()
        self.begin_workload()
        self.await_requests(200)
        for _ in range(2):
            self.host.cli('disk', 'restart', 'd1')
            self.await_requests(200)
        pid = self.host.disk('d1')['pid']
        self.host.cli('disk', 'resize', 'd1', '--size', f'{2 * SIZE_MIB}MiB')
        self.await_requests(200)
        self.assertEqual(self.host.disk('d1')['pid'], pid)
        self.end_workload()
        self.assertEqual(self.guest.must('cat /sys/block/vda/size').strip(),
                         str(2 * SIZE_MIB * MIB // 512))
        # And it is there.
        self.begin_workload(SIZE_MIB)
        self.end_workload()
        self.host.cli('disk', 'restart', 'd1')
        self.begin_workload(SIZE_MIB + REGION_MIB)
        self.end_workload()

    def test_a_guest_sees_a_pause_and_then_a_larger_disk(self):
        self.create()
        self.restart_and_resize()

    def test_a_guest_on_a_cached_disk_sees_the_same(self):
        self.create(*self.cache_policy())
        self.restart_and_resize()

    def test_a_guest_that_was_stopped_goes_on(self):
        self.create()
        self.host.cli('disk', 'open', 'd1')
        self.boot()
        self.begin_workload()
        for _ in range(3):
            self.await_requests(100)
            self.guest.qmp('stop')
            self.guest.qmp('cont')
        self.end_workload()

    def test_a_disk_arrives_with_its_guest_when_the_other_host_lets_go(self):
        """The lock's holder is another host; then nobody, and the guest runs.
        """
        self.create()
        elsewhere = self.new_host(folder(self))
        elsewhere.cli('disk', 'create', 'd1', '--backend',
                      f'file:{self.image}', '--id',
                      self.host.disk('d1')['id'])
        elsewhere.cli('disk', 'open', 'd1')
        self.host.cli('disk', 'open', 'd1', '--incoming')
        self.assertEqual(self.host.disk('d1')['state'], 'incoming')
        # The guest's first request makes the disk arrive; it has to wait.
        arriving = ('taking-over', 'incoming')

        def waits():
            disk = self.host.disk('d1')
            return (disk['state'] in arriving
                    and 'disk.raw' in (disk['reason'] or ''))
        self.boot_without_disk()
        wait_until(waits, 60, 'the disk waits for its image')
        elsewhere.cli('disk', 'close', 'd1')
        wait_until(lambda: self.host.disk('d1')['state'] == 'open', 60,
                   'the disk has arrived')
        self.guest.await_ready()
        self.begin_workload()
        self.end_workload()
        # From now on it is a disk like others.
        self.host.cli('disk', 'restart', 'd1')
        self.begin_workload(REGION_MIB)
        self.end_workload()
        self.assertEqual(self.host.disk('d1')['state'], 'open')

    def boot_without_disk(self):
        """Until the guest would read its disk's first block."""
        socket = self.host.disk('d1')['exports']['vhost-user-blk']['socket']
        self.guest = Guest(self.work, [socket], os.environ['GUEST_VERIFY'])
        self.addCleanup(self.guest.stop)
        self.guest.launch()


if __name__ == '__main__':
    tap.main()
