# SPDX-License-Identifier: Apache-2.0
"""What a Linux guest in QEMU finds of its device, and what it does with it."""

import os
import unittest

import tap
from forebay import Host
from guest import Guest
from image import ext4_trouble
from spawn import folder

MIB = 1 << 20
SIZE_MIB = 256


class GuestDevice(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.host = Host(self.work)
        self.addCleanup(self.host.stop)
        self.host.start()
        os.mkdir(os.path.join(self.work, 'pool'))
        self.host.cli('pool', 'create', 'ssd', os.path.join(self.work, 'pool'))
        self.host.policy('gold', ('cache', {'mode': 'write-back',
                                            'limit': '256MiB'}))

    def disk(self, name, *flags, content=None):
        image = os.path.join(self.work, name + '.raw')
        if content:
            with open(image, 'wb') as file:
                file.write(content)
                file.truncate(SIZE_MIB * MIB)
        self.host.cli('disk', 'create', name, '--backend', 'file:' + image,
                      *([] if content else ['--size', f'{SIZE_MIB}MiB']),
                      *flags)
        self.host.cli('disk', 'open', name)
        return self.host.disk(name)['exports']['vhost-user-blk']['socket']

    def boot(self, *sockets):
        guest = Guest(self.work, sockets, os.environ['GUEST_VERIFY'])
        self.addCleanup(guest.stop)
        guest.start()
        return guest

    def count(self, disk, operation):
        return self.host.stats(disk)['requests'][operation]['count']

    def writes_back(self, disk):
        return self.host.stats(disk)['exports']['vhost_user_blk']['writeback']

    def check_discards(self, guest, device, disk):
        queue = f'/sys/block/{device}/queue/'
        for limit in ('discard_max_bytes', 'write_zeroes_max_bytes'):
            self.assertGreater(int(guest.must(f'cat {queue}{limit}')), 0)
        guest.must(f'dd if=/dev/urandom of=/dev/{device} oflag=direct bs=1M '
                   'count=64 2>/dev/null')
        guest.must(f'blkdiscard -o 0 -l {32 * MIB} /dev/{device}')
        self.assertGreater(self.count(disk, 'discard'), 0)
        self.host.kill_disk(disk)
        self.assertEqual(
            guest.must(f'dd if=/dev/{device} iflag=direct bs=1M count=32 '
                       "2>/dev/null | tr -d '\\0' | wc -c").strip(), '0')
        # mkfs zeroes its tables, and relies on it.
        guest.must('mkfs.ext4 -q -E nodiscard,lazy_itable_init=0,'
                   f'lazy_journal_init=0 /dev/{device}')
        self.assertGreater(self.count(disk, 'write_zeroes'), 0)
        guest.must(f'mount -t ext4 /dev/{device} /mnt')
        guest.must('dd if=/dev/urandom of=/mnt/a bs=1M count=16 conv=fsync '
                   '2>/dev/null')
        guest.must('umount /mnt')

    def test_discards_and_zeroes_work_with_and_without_a_cache(self):
        guest = self.boot(self.disk('cached', '--policy', 'gold'),
                          self.disk('plain'))
        self.check_discards(guest, 'vda', 'cached')
        self.check_discards(guest, 'vdb', 'plain')
        self.assertGreater(self.host.cache_status('cached')['zeroed_bytes'], 0)
        for name in ('cached', 'plain'):
            self.assertEqual(self.host.stats(name)['discards_ignored'], 0)
        self.assertEqual(guest.errors(), [])
        guest.power_off()
        for name in ('cached', 'plain'):
            self.host.cli('disk', 'close', name)
            self.assertIsNone(
                ext4_trouble(os.path.join(self.work, name + '.raw')))

    def test_a_cache_that_the_guest_switched_off_stays_off(self):
        guest = self.boot(self.disk('d1', '--policy', 'gold'))
        mode = '/sys/block/vda/cache_type'
        self.assertEqual(guest.must(f'cat {mode}').strip(), 'write back')
        self.assertTrue(self.writes_back('d1'))
        guest.must(f"echo 'write through' >{mode}")
        self.assertFalse(self.writes_back('d1'))
        self.host.kill_disk('d1')
        guest.must('dd if=/dev/urandom of=/dev/vda oflag=direct bs=4k count=4 '
                   '2>/dev/null')
        self.assertEqual(guest.must(f'cat {mode}').strip(), 'write through')
        self.assertFalse(self.writes_back('d1'))
        guest.must(f"echo 'write back' >{mode}")
        self.assertTrue(self.writes_back('d1'))

    def test_a_read_only_disk_is_read_only_in_the_guest(self):
        guest = self.boot(self.disk('d1', '--read-only', content=b'truth'))
        self.assertEqual(guest.must('cat /sys/block/vda/ro').strip(), '1')
        self.assertEqual(
            guest.must('dd if=/dev/vda bs=5 count=1 2>/dev/null'), 'truth')
        status, _ = guest.run('dd if=/dev/zero of=/dev/vda bs=4k count=1')
        self.assertNotEqual(status, 0)
        guest.power_off()
        self.host.cli('disk', 'close', 'd1')

    def test_a_disk_of_the_first_revision_has_its_device(self):
        guest = self.boot(self.disk('d1', '--device-revision', '1',
                                    '--queues', '2'))
        self.assertEqual(
            guest.must('cat /sys/block/vda/queue/discard_max_bytes').strip(),
            '0')
        guest.must('dd if=/dev/zero of=/dev/vda oflag=direct bs=64k count=16 '
                   '2>/dev/null')
        self.assertEqual(guest.errors(), [])


if __name__ == '__main__':
    tap.main()
