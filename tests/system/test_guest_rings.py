# SPDX-License-Identifier: Apache-2.0
"""A guest in QEMU with split and with packed virtqueues, killed under it."""

import os
import unittest

import tap
from forebay import Host
from guest import Guest
from spawn import folder, wait_until

MIB = 1 << 20
DISK_MIB = 256
QUEUES = 4
RING_PACKED = 34


class GuestRings(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.host = Host(self.work)
        self.addCleanup(self.host.stop)
        self.host.start()
        self.host.cli('disk', 'create', 'd1', '--backend',
                      'file:' + os.path.join(self.work, 'disk.raw'), '--size',
                      f'{DISK_MIB}MiB')
        self.host.cli('disk', 'open', 'd1')
        self.socket = (
            self.host.disk('d1')['exports']['vhost-user-blk']['socket'])

    def requests(self):
        """Requests that the disk's present process has completed."""
        return sum(entry['count'] for entry in
                   self.host.stats('d1')['requests'].values())

    def await_requests(self, count):
        start = self.requests()
        wait_until(lambda: self.requests() >= start + count, 60,
                   f'{count} more requests complete')

    def check_kills(self, packed):
        guest = Guest(self.work, [self.socket], os.environ['GUEST_VERIFY'],
                      cpus=QUEUES,
                      disk_options=',packed=' + ('on' if packed else 'off'))
        self.addCleanup(guest.stop)
        guest.start()
        bits = guest.must('cat /sys/block/vda/device/features').strip()
        self.assertEqual(bits[RING_PACKED], '1' if packed else '0')
        queues = guest.must('ls /sys/block/vda/mq').split()
        self.assertEqual(len(queues), QUEUES)
        guest.begin(f'guest-verify /dev/vda 0 {96 * MIB} 3600 7 8')
        for _ in range(3):
            self.await_requests(300)
            self.host.kill_disk('d1')
        self.await_requests(300)
        guest.interrupt()
        _, output = guest.finish(180)
        self.assertIn('VERIFY ok', output)
        self.assertEqual(guest.errors(), [])
        guest.power_off()

    def test_split_virtqueues_survive_a_killed_disk(self):
        self.check_kills(packed=False)

    def test_packed_virtqueues_survive_a_killed_disk(self):
        self.check_kills(packed=True)


if __name__ == '__main__':
    tap.main()
