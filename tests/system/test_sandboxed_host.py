# SPDX-License-Identifier: Apache-2.0
"""A host whose disks have users of their own: everything still works."""

import grp
import json
import os
import socket
import unittest

import nbd

import tap
from forebay import Host
from spawn import folder, wait_until

GROUP = 'nogroup'


class SandboxedHost(unittest.TestCase):

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest('users of their own need root')
        self.work = folder(self)
        self.host = Host(self.work)
        self.addCleanup(self.host.stop)

    def start(self, *options):
        self.host.start(*options)
        os.mkdir(os.path.join(self.work, 'pool'))
        self.host.cli('pool', 'create', 'ssd', os.path.join(self.work, 'pool'))
        self.host.policy('gold', ('cache', {'limit': '64MiB'}))

    def open(self, name):
        self.host.cli('disk', 'create', name, '--backend',
                      os.path.join(self.work, name + '.raw'), '--size',
                      '64MiB', '--policy', 'gold')
        self.host.cli('disk', 'open', name)
        return self.host.disk(name)

    def folder_of(self, disk):
        return os.path.join(self.work, 'run', 'disks', disk['id'])

    def clients(self):
        """How many disks forebay-cached talks to."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.settimeout(15)
            peer.connect(os.path.join(self.work, 'run',
                                      'cached-control.sock'))
            peer.send(b'{"id": 1, "method": "status", "params": {}}')
            return json.loads(peer.recv(65536))['result']['clients']

    def users(self, disk):
        with open(f'/proc/{disk["pid"]}/status', encoding='utf-8') as file:
            return next(line.split()[1:] for line in file
                        if line.startswith('Uid:'))

    def test_two_disks_have_two_users_and_serve(self):
        self.start()
        users = set()
        for name in ('d1', 'd2'):
            disk = self.open(name)
            users.update(self.users(disk))
            handle = nbd.NBD()
            handle.set_export_name(name)
            handle.connect_unix(os.path.join(self.folder_of(disk), 'nbd.sock'))
            handle.pwrite(b'x' * 4096, 0)
            self.assertEqual(bytes(handle.pread(4096, 0)), b'x' * 4096)
            handle.shutdown()
            self.assertLessEqual({'own-user', 'no-capabilities'},
                                 set(disk['sandbox']))
            self.assertEqual(self.host.stats(name)['sandbox'],
                             disk['sandbox'])
        self.assertEqual(len(users), 2)
        self.assertNotIn('0', users)

    def test_a_restarted_cache_daemon_is_found_from_inside(self):
        self.start()
        self.open('d1')
        self.assertEqual(self.clients(), 1)
        self.host.kill_cached()
        wait_until(lambda: self.clients() == 1, 60,
                   'the disk connects to the new forebay-cached')

    def test_a_killed_disk_starts_again_and_its_sockets_go_at_the_end(self):
        self.start()
        disk = self.open('d1')
        self.host.kill_disk('d1')
        self.host.cli('disk', 'close', 'd1')
        self.assertEqual(
            [name for name in os.listdir(self.folder_of(disk))
             if name.endswith('.sock')], [])
        self.host.cli('disk', 'delete', 'd1')
        self.assertFalse(os.path.exists(self.folder_of(disk)))

    def test_the_exports_sockets_have_the_group_that_was_named(self):
        self.start('--socket-group', GROUP)
        where = self.folder_of(self.open('d1'))
        for name in ('nbd.sock', 'vhost-user-blk.sock'):
            facts = os.stat(os.path.join(where, name))
            self.assertEqual(facts.st_gid, grp.getgrnam(GROUP).gr_gid)
            self.assertEqual(facts.st_mode & 0o777, 0o660)

    def test_without_users_the_processes_have_no_privileges_all_the_same(self):
        self.start('--disk-user', 'none')
        disk = self.open('d1')
        self.assertEqual(set(self.users(disk)), {'0'})
        layers = disk['sandbox']
        self.assertNotIn('own-user', layers)
        self.assertIn('no-capabilities', layers)
        self.assertRegex(self.host.cli('disk', 'show', 'd1'),
                         r'Sandbox +' + ', '.join(layers))
        self.host.cli('disk', 'close', 'd1')
        self.assertIsNone(self.host.disk('d1')['sandbox'])
        self.assertNotIn('Sandbox', self.host.cli('disk', 'show', 'd1'))

    def test_a_folder_that_others_cannot_enter_is_warned_of(self):
        os.chmod(self.work, 0o700)
        self.start()
        self.assertEqual(set(self.users(self.open('d1'))), {'0'})
        self.assertIn("can't be entered by other users",
                      self.host.daemon.output())


if __name__ == '__main__':
    tap.main()
