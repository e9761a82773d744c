# SPDX-License-Identifier: Apache-2.0
"""A disk's process that was taken over reaches nothing but its own disk.

The burglar filter tries, from inside a real forebay-disk, what the sandbox
forbids. Every attempt is made twice: confined, and by a process that was told
to do without its sandbox, where it must succeed. So a test whose attempt would
fail for another reason fails.
"""

import os
import pwd
import signal
import socket
import unittest

import spawn
import tap
from disk_process import PROGRAM, SECONDS, Disk, Refused, filter_entry

OWN_ID = 0x70000001
NOBODY = pwd.getpwnam('nobody')
EACCES = 13
EPERM = 1

# What a disk's process must have whoever started it.
ALWAYS = {'no-capabilities', 'no-new-privileges', 'no-dump', 'memory-limit',
          'ring-limits'}


def is_sanitized():
    """Sanitizers open files and make a child: the sandbox lets them."""
    with open(PROGRAM, 'rb') as file:
        return b'__asan_init' in file.read()


def as_root(test):
    if os.geteuid() != 0:
        test.skipTest('another user needs root')


def reachable_by_others(path):
    while True:
        if not os.stat(path).st_mode & 1:
            return False
        if path == '/':
            return True
        path = os.path.dirname(path)


class Burglary(unittest.TestCase):
    """Disks whose filter does what it is told."""

    def setUp(self):
        if is_sanitized():
            self.skipTest('sanitizers need what the sandbox forbids')

    def folder(self):
        path = spawn.folder(self)
        os.chmod(path, 0o711)
        return path

    def target(self):
        """A file of somebody else's, in a folder of his."""
        path = os.path.join(self.folder(), 'other')
        with open(path, 'w', encoding='utf-8'):
            pass
        return path

    def start(self, target='/nowhere', user=None, wrapper=(), arguments=()):
        disk = Disk(self, [filter_entry('burglar', target=target)],
                    folder=self.folder())
        disk.wrapper = list(wrapper)
        disk.arguments = list(arguments)
        if user:
            disk.config['user'] = {'uid': user, 'gid': user}
        return disk.start_ready()

    def start_as_nobody(self, **options):
        as_root(self)
        if not reachable_by_others(PROGRAM):
            self.skipTest('nobody may not run the program that was built')
        folder = self.folder()
        disk = Disk(self, [filter_entry('burglar', **options)], folder=folder)
        os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
        os.chown(disk.image, NOBODY.pw_uid, NOBODY.pw_gid)
        disk.wrapper = ['setpriv', f'--reuid={NOBODY.pw_uid}',
                        f'--regid={NOBODY.pw_gid}', '--clear-groups']
        return disk.start_ready()

    def attempt(self, disk, action):
        """What the attempt came to: 0, or the errno that refused it."""
        try:
            disk.call('action', filter='burglar', action=action)
        except Refused as refused:
            return refused.errno
        return 0

    def check_ended_by(self, disk, action, call):
        """The process is gone, and says which system call it was."""
        link = disk.connect()
        with self.assertRaises((OSError, ValueError)):
            disk.call('action', link=link, filter='burglar', action=action)
            link.recv(1)
        self.assertEqual(disk.process.wait(SECONDS), -signal.SIGSYS)
        self.assertIn(f'system call {call} (', disk.process.output())

    def check_forbidden_call(self, action, call):
        free = self.start(arguments=['--no-sandbox'])
        self.assertEqual(self.attempt(free, action), 0)
        self.check_ended_by(self.start(), action, call)
        if os.geteuid() == 0 and reachable_by_others(PROGRAM):
            self.check_ended_by(self.start_as_nobody(), action, call)

    def check_refused(self, action, target=lambda: '/nowhere',
                      errors=(EACCES,)):
        free = self.start(target(), arguments=['--no-sandbox'])
        self.assertEqual(self.attempt(free, action), 0)
        confined = self.start(target())
        self.assertIn(self.attempt(confined, action), errors)
        self.assertTrue(confined.process.alive())


class Calls(Burglary):
    """What ends the process that does it."""

    def test_running_a_program_ends_it(self):
        self.check_forbidden_call('run-program', 'execve')

    def test_a_child_ends_it(self):
        self.check_forbidden_call('make-child', 'clone')

    def test_a_namespace_ends_it(self):
        self.check_forbidden_call('make-namespace', 'unshare')

    def test_tracing_a_process_ends_it(self):
        self.check_forbidden_call('trace-process', 'ptrace')

    def test_a_signal_to_another_process_ends_it(self):
        self.check_forbidden_call('signal-parent', 'kill')

    def test_an_internet_socket_ends_it(self):
        self.check_forbidden_call('connect-internet', 'socket')

    def test_a_netlink_socket_ends_it(self):
        self.check_forbidden_call('listen-to-kernel', 'socket')

    def test_a_mount_ends_it(self):
        self.check_forbidden_call('mount-something', 'mount')

    def test_a_bpf_program_ends_it(self):
        self.check_forbidden_call('load-program', 'bpf')

    def test_a_ring_without_limits_ends_it(self):
        self.check_forbidden_call('make-ring', 'io_uring_setup')

    def test_new_code_ends_it(self):
        self.check_forbidden_call('make-code', 'mmap')

    def test_data_that_become_code_end_it(self):
        self.check_forbidden_call('turn-data-into-code', 'mprotect')

    def test_becoming_dumpable_ends_it(self):
        self.check_forbidden_call('become-dumpable', 'prctl')

    def test_becoming_root_ends_it(self):
        as_root(self)
        self.check_forbidden_call('become-root', 'setuid')


class Files(Burglary):
    """What is refused, and the process goes on."""

    def test_a_file_of_the_system_cannot_be_read(self):
        as_root(self)
        self.check_refused('read-secret')

    def test_a_file_of_another_disk_cannot_be_opened(self):
        self.check_refused('write-target', self.target)

    def test_no_file_can_be_made(self):
        self.check_refused('write-target', lambda: self.target() + '2')

    def test_a_file_of_another_disk_cannot_be_removed(self):
        self.check_refused('remove-target', self.target)

    def test_the_memory_of_the_parent_cannot_be_opened(self):
        as_root(self)
        self.check_refused('read-parent')

    def test_processes_cannot_be_listed(self):
        self.check_refused('list-processes')

    def test_an_unprivileged_starter_files_cannot_be_opened_or_removed(self):
        for action in ('write-target', 'remove-target'):
            target = self.target()
            os.chown(target, NOBODY.pw_uid, NOBODY.pw_gid)
            os.chmod(os.path.dirname(target), 0o777)
            disk = self.start_as_nobody(target=target)
            self.assertEqual(self.attempt(disk, action), EACCES)
            self.assertTrue(os.path.exists(target))


class OwnUser(Burglary):
    """A disk's process that forebayd starts as root."""

    def setUp(self):
        super().setUp()
        as_root(self)

    def status(self, disk, field):
        with open(f'/proc/{disk.process.pid}/status',
                  encoding='utf-8') as file:
            for line in file:
                if line.startswith(field + ':'):
                    return line.split()[1:]
        return None

    def test_it_is_nobody_else_and_has_no_privilege(self):
        disk = self.start(user=OWN_ID)
        self.assertEqual(self.status(disk, 'Uid'), [str(OWN_ID)] * 4)
        self.assertEqual(self.status(disk, 'Gid'), [str(OWN_ID)] * 4)
        self.assertEqual(self.status(disk, 'Groups'), [])
        for field in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb'):
            self.assertEqual(int(self.status(disk, field)[0], 16), 0)
        self.assertEqual(self.status(disk, 'NoNewPrivs'), ['1'])
        self.assertEqual(self.status(disk, 'Seccomp'), ['2'])

    def test_its_memory_is_never_dumped(self):
        disk = self.start(user=OWN_ID)
        with open(f'/proc/{disk.process.pid}/limits',
                  encoding='utf-8') as file:
            core = [line for line in file if 'core file' in line]
        self.assertEqual(core[0].split()[4:6], ['0', '0'])
        # The files of a process that can't be dumped belong to root.
        self.assertEqual(os.stat(f'/proc/{disk.process.pid}/fd').st_uid, 0)

    def test_it_says_what_is_in_force(self):
        disk = self.start(user=OWN_ID)
        self.assertLessEqual(ALWAYS | {'own-user', 'system-calls'},
                             set(disk.call('stats')['sandbox']))

    def test_a_socket_of_another_user_cannot_be_connected_to(self):
        path = os.path.join(self.folder(), 'private')
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(path)
        os.chmod(path, 0o600)
        server.listen()
        free = self.start(path, arguments=['--no-sandbox'])
        self.assertEqual(self.attempt(free, 'connect-target'), 0)
        confined = self.start(path, user=OWN_ID)
        self.assertEqual(self.attempt(confined, 'connect-target'), EACCES)

    def test_a_file_of_another_user_cannot_be_changed(self):
        free = self.start(self.target(), arguments=['--no-sandbox'])
        self.assertEqual(self.attempt(free, 'change-target'), 0)
        confined = self.start(self.target(), user=OWN_ID)
        self.assertEqual(self.attempt(confined, 'change-target'), EPERM)

    def test_its_sockets_are_its_own_and_their_group_is_the_one_named(self):
        disk = Disk(self, folder=self.folder())
        disk.config['user'] = {'uid': OWN_ID, 'gid': OWN_ID}
        disk.config['socket_gid'] = NOBODY.pw_gid
        disk.start_ready()
        for name in ('nbd', 'vhost'):
            facts = os.stat(disk.path(name))
            self.assertEqual(facts.st_uid, OWN_ID)
            self.assertEqual(facts.st_gid, NOBODY.pw_gid)
            self.assertEqual(facts.st_mode & 0o777, 0o660)
        self.assertEqual(os.stat(disk.path('control')).st_mode & 0o777, 0o600)
        self.assertEqual(self.status(disk, 'Groups'), [str(NOBODY.pw_gid)])

    def test_it_serves_and_removes_its_sockets_at_the_end(self):
        folder = self.folder()
        os.chown(folder, -1, OWN_ID)
        os.chmod(folder, 0o1771)
        disk = Disk(self, folder=folder)
        disk.config['user'] = {'uid': OWN_ID, 'gid': OWN_ID}
        disk.start_ready()
        handle = disk.nbd()
        data = bytes(range(256)) * 16
        handle.pwrite(data, 4096)
        handle.flush()
        self.assertEqual(bytes(handle.pread(4096, 4096)), data)
        handle.shutdown()
        disk.call('close', drain=True)
        self.assertEqual(disk.process.wait(SECONDS), 0)
        for name in ('nbd', 'vhost', 'control'):
            self.assertFalse(os.path.exists(disk.path(name)), name)

    def test_a_user_that_cannot_be_had_is_a_failure_with_words(self):
        if not reachable_by_others(PROGRAM):
            self.skipTest('nobody may not run the program that was built')
        folder = self.folder()
        disk = Disk(self, folder=folder)
        for path in (folder, disk.image):
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        disk.config['user'] = {'uid': OWN_ID, 'gid': OWN_ID}
        disk.wrapper = ['setpriv', f'--reuid={NOBODY.pw_uid}',
                        f'--regid={NOBODY.pw_gid}', '--clear-groups']
        message = disk.start_failing()
        self.assertIn('not permitted', message)


class Unprivileged(Burglary):
    """A disk's process that a user without privileges starts."""

    def test_it_says_what_is_in_force(self):
        layers = set(self.start_as_nobody().call('stats')['sandbox'])
        self.assertLessEqual(ALWAYS | {'system-calls'}, layers)
        self.assertNotIn('own-user', layers)

    def test_it_serves_and_ends_as_ever(self):
        disk = self.start_as_nobody()
        handle = disk.nbd()
        handle.pwrite(bytes(4096), 0)
        handle.flush()
        handle.shutdown()
        self.assertEqual(disk.process.stop(), 0)
        self.assertFalse(os.path.exists(disk.path('nbd')))


if __name__ == '__main__':
    tap.main()
