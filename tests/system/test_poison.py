# SPDX-License-Identifier: Apache-2.0
"""A request that ends every process which takes it up, from a real guest.

The filter `poison` has a bug, and a write of the guest that meets it.
"""

import os
import shutil
import time
import unittest

import tap
from disk_process import library
from forebay import Host
from guest import Guest
from spawn import folder, wait_until

MIB = 1 << 20
POISON_MIB = 200
REGION_MIB = 64
# forebayd gives up a process that keeps dying within its first second.
SETTLED_SECONDS = 1.5
POISONED = 'were failed to the VM: '


class Poison(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.host = Host(self.work)
        filters = os.path.join(self.work, 'filters')
        os.mkdir(filters)
        for name in ('poison', 'cache'):
            shutil.copy(library(name), filters)
        self.host.filters = filters
        self.addCleanup(self.host.stop)
        self.addCleanup(lambda: print(self.host.logs()))
        self.host.start()
        self.host.pool()
        self.host.policy('odd', ('poison', {}), ('cache', {
            'mode': 'write-back', 'limit': '64MiB', 'max_dirty_age': '1s'}))
        self.host.cli('disk', 'create', 'd1', '--backend',
                      f'file:{self.work}/disk.raw', '--size', '256MiB',
                      '--policy', 'odd')
        self.host.cli('disk', 'open', 'd1')
        exports = self.host.disk('d1')['exports']
        self.guest = Guest(self.work, [exports['vhost-user-blk']['socket']],
                           os.environ['GUEST_VERIFY'])
        self.addCleanup(self.guest.stop)
        self.guest.start()

    def write_poison(self, offset_mib, more=''):
        """Returns whether the guest was told of an error."""
        status, output = self.guest.run(
            '(echo -n POISON--; head -c 4088 /dev/zero) >/tmp/p; '
            f'{more} dd if=/tmp/p of=/dev/vda bs=4096 oflag=direct '
            f'seek={offset_mib * 256} conv=notrunc 2>&1', 120)
        print(output)
        return status != 0 and 'error' in output

    def test_a_poisonous_request_is_failed_and_the_others_go_on(self):
        guest = self.guest
        # Requests of others that are in flight at each of the crashes.
        guest.must('(while :; do dd if=/dev/vda of=/dev/null bs=64k '
                   'count=256 iflag=direct 2>>/tmp/e || echo bad >>/tmp/bad; '
                   'done) & echo $! >/tmp/reader')
        guest.must('(i=0; while :; do i=$((i+1)); dd if=/dev/urandom '
                   'of=/dev/vda bs=4096 count=16 seek=2048 oflag=direct '
                   'conv=notrunc 2>>/tmp/e || echo bad >>/tmp/bad; done) & '
                   'echo $! >/tmp/writer')
        self.assertTrue(self.write_poison(POISON_MIB))
        disk = self.host.disk('d1')
        self.assertEqual(disk['state'], 'open')
        self.assertIn(POISONED + '1', disk['reason'])
        self.assertGreaterEqual(disk['restarts'], 3)
        guest.must('kill $(cat /tmp/reader) $(cat /tmp/writer); true')
        guest.must('test ! -e /tmp/bad')
        # It works as ever, and takes nothing for poison that isn't.
        self.assertIn('VERIFY ok', guest.must(
            f'guest-verify /dev/vda {100 * MIB} {REGION_MIB * MIB} 3 7 8',
            120))
        self.assertTrue(self.write_poison(POISON_MIB + 1))
        self.assertIn(POISONED + '2', self.host.disk('d1')['reason'])
        with open(os.path.join(self.work, 'forebayd.out'),
                  encoding='utf-8') as log:
            self.assertIn('filter poison crashed in submit (SIGSEGV',
                          log.read())
        guest.power_off()
        self.host.cli('disk', 'close', 'd1')

    def test_what_ends_it_by_kill_alone_is_not_failed(self):
        """Only an error of its own makes a request suspicious."""
        for _ in range(2):
            self.assertTrue(self.write_poison(POISON_MIB))
        self.guest.begin(f'guest-verify /dev/vda {100 * MIB} '
                         f'{REGION_MIB * MIB} 8 7 8')
        before = self.host.disk('d1')['reason']
        for _ in range(4):
            time.sleep(SETTLED_SECONDS)
            self.host.kill_disk('d1')
            wait_until(lambda: self.host.stats('d1')['exports'][
                'vhost_user_blk']['connected'], 30, 'QEMU is back')
        status, output = self.guest.finish(120)
        self.assertEqual(status, 0, output)
        self.assertIn('VERIFY ok', output)
        self.assertEqual(self.host.disk('d1')['reason'], before)


if __name__ == '__main__':
    tap.main()
