# SPDX-License-Identifier: Apache-2.0
"""forebay bench DISK: forebayd knows where the disk listens."""

import json
import os
import subprocess
import unittest

import tap
from forebay import Host, find_program
from spawn import die_with_parent, folder, wait_until

WRITES = ('--read', 0, '--destroy-data')


class NamedDisk(unittest.TestCase):
    def setUp(self):
        self.work = folder(self)
        self.host = Host(self.work)
        self.addCleanup(self.host.stop)
        self.host.start()

    def create(self, *words):
        self.host.cli('disk', 'create', 'd1', '--backend',
                      'file:' + os.path.join(self.work, 'd1.raw'), '--size',
                      '16MiB', *words)

    def open(self, *words):
        self.create(*words)
        self.host.cli('disk', 'open', 'd1')

    def bench(self, *words):
        return self.host.json('bench', 'd1', '--count', 200, *words)

    def refused(self, code, words, *flags):
        done = self.host.try_cli('bench', 'd1', '--count', 200, *flags)
        self.assertEqual((done.returncode, done.stderr.count('\n')),
                         (code, 1), done.stderr)
        self.assertIn(words, done.stderr)

    def vm(self):
        """Somebody on the vhost-user-blk socket."""
        disk = self.host.disk('d1')
        load = subprocess.Popen(
            [find_program(self.host.prefix, 'forebay'), 'bench',
             '--vhost-user', disk['exports']['vhost-user-blk']['socket'],
             '--rate', '100', '--seconds', '600'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.addCleanup(load.wait)
        self.addCleanup(load.kill)
        wait_until(lambda: self.host.stats('d1')['exports'][
            'vhost_user_blk']['connected'], 30, 'the VM is connected')

    def test_an_open_disk_is_found_by_its_name(self):
        self.open()
        disk = self.host.disk('d1')
        report = self.bench(*WRITES, '--verify')
        self.assertEqual(
            report['target'],
            {'protocol': 'vhost-user-blk', 'size_bytes': 16 << 20,
             'address': disk['exports']['vhost-user-blk']['socket'],
             'pid': disk['pid']})
        self.assertEqual(report['verify']['wrong_sectors'], 0)

    def test_a_disk_with_a_vm_is_read_over_nbd(self):
        self.open()
        self.vm()
        report = self.bench()
        self.assertEqual(report['target']['protocol'], 'nbd')
        self.assertEqual(report['errors'], 0)

    def test_a_disk_with_a_vm_is_never_written_to(self):
        self.open()
        self.vm()
        self.refused(4, 'a VM is connected; a load that writes', *WRITES)

    def test_a_disk_with_a_vm_and_no_nbd_export_is_left_alone(self):
        self.open('--export', 'vhost-user-blk')
        self.vm()
        self.refused(4, 'there is no NBD export')

    def test_a_disk_with_nbd_alone_is_loaded_through_it(self):
        self.open('--export', 'nbd')
        self.assertEqual(self.bench(*WRITES)['target']['protocol'], 'nbd')

    def test_a_closed_disk_is_refused_with_what_to_do(self):
        self.create()
        self.refused(4, "is closed; 'forebay disk open d1' first")

    def test_a_disk_that_is_not_there_is_not_found(self):
        self.refused(3, 'there is no disk d1')

    def test_a_disk_that_would_be_written_to_wants_consent(self):
        self.open()
        self.refused(2, '--destroy-data', '--read', 0)
        with open(os.path.join(self.work, 'd1.raw'), 'rb') as file:
            self.assertEqual(file.read().count(0), 16 << 20)

    def test_a_disk_that_is_killed_under_the_load_is_waited_for(self):
        self.open()
        load = subprocess.Popen(
            [find_program(self.host.prefix, 'forebay'), '--root', self.work,
             'bench', 'd1', '--seconds', '3', '--reconnect', '60', '--verify',
             '-o', 'json', *map(str, WRITES)], stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.addCleanup(load.kill)
        wait_until(lambda: self.host.stats('d1')['exports'][
            'vhost_user_blk']['connected'], 30, 'the load is connected')
        self.host.kill_disk('d1')
        report = json.loads(load.communicate(timeout=120)[0])
        self.assertEqual(load.returncode, 0)
        self.assertEqual(report['reconnects'], 1)


if __name__ == '__main__':
    tap.main()
