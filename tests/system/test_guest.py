# SPDX-License-Identifier: Apache-2.0
"""A guest in QEMU on a filtered, cached disk: a whole host, nothing faked."""

import os
import unittest

import tap
from forebay import Host
from guest import Guest
from image import (ext4_trouble, parse_sha256sum, sha256_of_ext4_files,
                   sha256_of_range)
from spawn import folder, wait_until

MIB = 1 << 20
DISK_MIB = 1024
# The guest's file system takes the first part of the disk, the verified
# workload a part behind it.
FILES_MIB = 512
REGION_MIB = 96
FILES = ('a', 'b', 'c', 'd')


def verified(case, output):
    """{key: number} of guest-verify's line; fails @case unless it is ok."""
    case.assertIn('VERIFY ok', output)
    return {key: int(value) for key, value in
            (word.split('=') for word in output.split() if '=' in word)}


class GuestTest(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.image = os.path.join(self.work, 'disk.raw')
        self.host = Host(self.work)
        self.addCleanup(self.host.stop)
        self.host.start()
        os.mkdir(os.path.join(self.work, 'pool'))
        self.host.cli('pool', 'create', 'ssd',
                      os.path.join(self.work, 'pool'))
        self.host.policy('gold', ('throttle', {'iops': 100000}),
                         ('cache', {'mode': 'write-back', 'limit': '256MiB',
                                    'max_dirty_age': '2s'}))
        self.host.cli('disk', 'create', 'd1', '--backend',
                      f'file:{self.image}', '--size', f'{DISK_MIB}MiB',
                      '--policy', 'gold')
        self.host.cli('disk', 'open', 'd1')
        socket = self.host.disk('d1')['exports']['vhost-user-blk']['socket']
        self.guest = Guest(self.work, [socket], os.environ['GUEST_VERIFY'])
        self.addCleanup(self.guest.stop)
        self.guest.start()

    def requests(self):
        """Requests that the disk's present process has completed."""
        return sum(entry['count'] for entry in
                   self.host.stats('d1')['requests'].values())

    def await_requests(self, count):
        start = self.requests()
        wait_until(lambda: self.requests() >= start + count, 60,
                   f'{count} more requests complete')

    def begin_workload(self, seconds, start_mib=FILES_MIB):
        """Of a region that still reads as zeros."""
        self.guest.begin(f'guest-verify /dev/vda {start_mib * MIB} '
                         f'{REGION_MIB * MIB} {seconds} 7 8')

    def make_files(self):
        """An ext4 file system with files; returns their checksums."""
        guest = self.guest
        guest.must(f'mkfs.ext4 -q /dev/vda {FILES_MIB}M')
        guest.must('mount -t ext4 /dev/vda /mnt')
        for size, name in enumerate(FILES, 1):
            guest.must(f'dd if=/dev/urandom of=/mnt/{name} bs=64k '
                       f'count={size * 40} conv=fsync 2>/dev/null')
        guest.must('echo 3 >/proc/sys/vm/drop_caches')
        return parse_sha256sum(
            guest.must('cd /mnt; sha256sum ' + ' '.join(FILES) + '; cd /'))

    def region_sum(self):
        """The guest's own checksum of the workload's region."""
        return self.guest.must(
            f'dd if=/dev/vda iflag=direct bs=1M skip={FILES_MIB} '
            f'count={REGION_MIB} 2>/dev/null | sha256sum').split()[0]

    def assert_image_holds(self, sums, region):
        """Reads the backend's image alone."""
        self.assertIsNone(ext4_trouble(self.image))
        self.assertEqual(sha256_of_ext4_files(self.image, FILES), sums)
        self.assertEqual(
            sha256_of_range(self.image, FILES_MIB * MIB, REGION_MIB * MIB),
            region)

    def test_a_guest_sees_no_error_while_daemons_are_killed(self):
        sums = self.make_files()
        self.assertEqual(set(sums), set(FILES))
        self.begin_workload(3600)
        self.await_requests(500)
        self.host.kill_cached()
        self.await_requests(500)
        self.host.kill_disk('d1')
        self.await_requests(500)
        self.host.kill_disk('d1')
        self.host.kill_cached()
        self.await_requests(500)
        self.guest.interrupt()
        _, output = self.guest.finish(180)
        verified(self, output)
        self.guest.must('umount /mnt')
        region = self.region_sum()
        self.assertEqual(self.guest.errors(), [])
        self.host.cli('disk', 'flush', 'd1')
        self.guest.power_off()
        self.assert_image_holds(sums, region)
        self.host.cli('disk', 'close', 'd1')
        self.assert_image_holds(sums, region)

    def test_io_does_not_notice_that_forebayd_is_killed(self):
        before = self.host.disk('d1')['pid']
        self.begin_workload(6)
        self.await_requests(200)
        self.host.kill_daemon()
        _, output = self.guest.finish(120)
        verified(self, output)
        self.host.start()
        after = self.host.disk('d1')
        self.assertEqual(after['pid'], before)
        self.assertEqual(after['state'], 'open')
        self.begin_workload(2, FILES_MIB + REGION_MIB)
        verified(self, self.guest.finish(120)[1])
        self.assertEqual(self.guest.errors(), [])

    def test_no_byte_of_an_aligned_request_is_copied(self):
        self.guest.must('dd if=/dev/urandom of=/dev/vda oflag=direct bs=64k '
                        'count=64 2>/dev/null')
        self.guest.must('dd if=/dev/vda of=/dev/null iflag=direct bs=64k '
                        'count=64 2>/dev/null')
        stats = self.host.stats('d1')
        self.assertGreaterEqual(stats['requests']['write']['bytes'], 4 * MIB)
        self.assertEqual(stats['copied_bytes'], 0)


if __name__ == '__main__':
    tap.main()
