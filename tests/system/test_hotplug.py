# SPDX-License-Identifier: Apache-2.0
"""Memory comes and goes under a guest with four busy queues."""

import os
import unittest

import tap
from forebay import Host
from guest import Guest
from spawn import folder, wait_until

MIB = 1 << 20
DISK_MIB = 256
REGION_MIB = 48
DIMM_MIB = 256


class RoomyGuest(Guest):
    """Has two slots for memory that comes later."""

    def command_line(self):
        words = super().command_line()
        words[words.index('-m') + 1] = f'{self.memory_mib},slots=2,maxmem=2G'
        words[words.index('-append') + 1] += (
            ' memhp_default_state=online_movable')
        return words


class Hotplug(unittest.TestCase):

    def setUp(self):
        work = folder(self)
        self.host = Host(work)
        self.addCleanup(self.host.stop)
        self.addCleanup(lambda: print(self.host.logs()))
        self.host.start()
        self.host.cli('disk', 'create', 'd1', '--backend',
                      os.path.join(work, 'disk.raw'), '--size',
                      f'{DISK_MIB}MiB')
        self.host.cli('disk', 'open', 'd1')
        socket = self.host.disk('d1')['exports']['vhost-user-blk']['socket']
        self.guest = RoomyGuest(work, [socket], os.environ['GUEST_VERIFY'],
                                cpus=4)
        self.addCleanup(self.guest.stop)
        self.guest.start()

    def requests(self):
        return sum(entry['count'] for entry in
                   self.host.stats('d1')['requests'].values())

    def await_requests(self, count):
        start = self.requests()
        wait_until(lambda: self.requests() >= start + count, 60,
                   f'{count} more requests complete')

    def begin(self, place):
        """A load until end(): nobody knows how long the memory takes."""
        self.guest.begin(f'guest-verify /dev/vda {place * REGION_MIB * MIB} '
                         f'{REGION_MIB * MIB} 3600 7 8')
        self.await_requests(100)

    def end(self):
        self.guest.interrupt()
        self.assertIn('VERIFY ok', self.guest.finish(180)[1])

    def plug(self):
        self.guest.qmp('object-add', **{
            'qom-type': 'memory-backend-memfd', 'id': 'more',
            'size': DIMM_MIB * MIB, 'share': True})
        self.guest.qmp('device_add', driver='pc-dimm', id='dimm',
                       memdev='more')

    def dimms(self):
        return self.guest.qmp('query-memory-devices')

    def total_mib(self):
        return int(self.guest.must(
            "grep MemTotal /proc/meminfo").split()[1]) // 1024

    def test_memory_comes_and_goes_while_four_queues_are_busy(self):
        self.assertEqual(self.guest.must(
            'ls /sys/block/vda/mq | wc -l').strip(), '4')
        before = self.total_mib()
        self.begin(0)
        self.plug()
        self.await_requests(1000)
        self.end()
        self.assertGreater(self.total_mib(), before + DIMM_MIB // 2)
        # One buffer that is larger than what the guest had before is free.
        self.guest.must(f'dd if=/dev/vda of=/dev/null bs={before}M count=1 '
                        'iflag=direct 2>/dev/null')
        self.begin(1)
        self.guest.qmp('device_del', id='dimm')
        wait_until(lambda: not self.dimms(), 60, 'the memory is gone')
        self.await_requests(1000)
        self.end()
        self.begin(2)
        self.end()
        self.assertEqual(self.guest.errors(), [])
        self.assertEqual(self.host.disk('d1')['restarts'], 0)


if __name__ == '__main__':
    tap.main()
