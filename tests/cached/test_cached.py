# SPDX-License-Identifier: Apache-2.0
"""forebay-cached alone, with fake filters and a fake control plane.

Arguments: forebay-cached, then words that select tests.
"""

import ctypes
import errno
import json
import mmap
import os
import shutil
import struct
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'lib'))

import spawn  # noqa: E402
import tap  # noqa: E402
from pool_client import MIB, Client, Disconnected, Refused, control  # noqa: E402

PROGRAM = sys.argv.pop(1)
A = bytes([0xaa] * 16)
B = bytes([0xbb] * 16)
A_TEXT = 'aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa'


def disk_user_of(uuid):
    """src/base/disk_user.h, written a second time."""
    value = 0xcbf29ce484222325
    for byte in uuid:
        value = (value ^ byte) * 0x100000001b3 % (1 << 64)
    return 0x70000000 + value % 0x0ffe0000


class Cached(unittest.TestCase):
    def setUp(self):
        self.root = spawn.folder(self)
        self.pool = os.path.join(self.root, 'ssd')
        self.socket = os.path.join(self.root, 'cached.sock')
        self.control_socket = os.path.join(self.root, 'control.sock')
        self.config = os.path.join(self.root, 'cached.json')
        os.mkdir(self.pool)
        self.daemon = None
        self.start()

    def start(self):
        self.daemon = spawn.Process(
            [PROGRAM, '--config', self.config, '--socket', self.socket,
             '--control-socket', self.control_socket],
            os.path.join(self.root, 'cached.log'))
        self.addCleanup(self.daemon.kill)
        spawn.wait_until(self.answers, 15, 'forebay-cached answers')

    def answers(self):
        if not self.daemon.alive():
            raise RuntimeError(self.daemon.output())
        try:
            result, _ = self.call('status')
            return result['pid'] == self.daemon.pid
        except (FileNotFoundError, ConnectionError):
            return False

    def call(self, method, **params):
        return control(self.control_socket, method, **params)

    def set_pool(self, *paths):
        result, error = self.call(
            'pools', pools=[{'name': 'fast', 'paths': paths or [self.pool]}])
        self.assertIsNone(error)
        return result

    def client(self, uuid=A):
        client = Client(self.socket, uuid)
        self.addCleanup(client.close)
        return client

    def files(self):
        return sorted(os.listdir(os.path.join(self.pool, 'forebay')))

    def refusal(self, client, **arguments):
        with self.assertRaises(Refused) as caught:
            client.open(**arguments)
        self.assertNotIn('\n', str(caught.exception))
        return caught.exception

    # What a filter sees.

    def test_a_disk_gets_a_file_of_its_limit_with_direct_io(self):
        self.set_pool()
        grant = self.client().open(limit=65 * MIB)
        self.assertEqual(grant.file_bytes, 64 * MIB)
        self.assertEqual(os.fstat(grant.fd).st_size, 64 * MIB)
        with open(f'/proc/self/fdinfo/{grant.fd}', encoding='ascii') as info:
            flags = int(info.read().split()[3], 8)
        self.assertTrue(flags & os.O_DIRECT)
        self.assertEqual(self.files(), [f'{A_TEXT}.cache'])

    def test_the_daemon_keeps_no_descriptor_of_a_granted_file(self):
        self.set_pool()
        self.client().open()
        held = f'/proc/{self.daemon.pid}/fd'

        def none_left():
            return not any(
                os.readlink(os.path.join(held, fd)).endswith('.cache')
                for fd in os.listdir(held))
        spawn.wait_until(none_left, 15, 'forebay-cached closes its copy')

    def test_a_second_process_of_a_disk_waits_for_the_lock_of_the_first(self):
        self.set_pool()
        first = self.client().open()
        second = self.client().open()
        self.assertTrue(first.try_lock())
        self.assertFalse(second.try_lock())
        first.close()
        self.assertTrue(second.try_lock())

    def test_the_lock_of_a_killed_writer_goes_to_its_successor(self):
        self.set_pool()
        log = os.path.join(self.root, 'writer.log')
        for _ in range(3):
            writer = spawn.Process(
                [sys.executable, os.path.join(HERE, 'pool_client.py'),
                 self.socket, A.hex()], log)
            self.addCleanup(writer.kill)
            spawn.wait_until(lambda: 'locked' in writer.output(), 15, 'lock')
            grant = self.client().open()
            self.assertFalse(grant.try_lock())
            writer.kill()
            spawn.wait_until(grant.try_lock, 30, 'the successor gets the lock')
            grant.close()
            os.unlink(log)

    def test_two_disks_have_two_files(self):
        self.set_pool()
        first = self.client(A).open()
        second = self.client(B).open()
        self.assertTrue(first.try_lock())
        self.assertTrue(second.try_lock())
        self.assertEqual(len(self.files()), 2)

    def attempt_as(self, uid, uuid):
        """What a process of user @uid gets as disk @uuid: a word."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            word = b'crashed'
            try:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                word = b'granted'
                Client(self.socket, uuid).open()
            except (Disconnected, ConnectionError):
                word = b'disconnected'
            finally:
                os.write(writer, word)
                os._exit(0)
        os.close(writer)
        os.waitpid(pid, 0)
        with os.fdopen(reader, 'rb') as pipe:
            return pipe.read().decode()

    def test_a_disks_user_gets_its_own_cache_file_and_no_other(self):
        if os.geteuid() != 0:
            self.skipTest('other users need root')
        self.set_pool()
        own = disk_user_of(A)
        self.assertEqual(self.attempt_as(own, A), 'granted')
        self.assertEqual(self.attempt_as(own, B), 'disconnected')
        self.assertIn('greeted as a disk that it is not',
                      self.daemon.output())

    def test_a_user_that_is_no_disks_is_not_served(self):
        if os.geteuid() != 0:
            self.skipTest('other users need root')
        self.set_pool()
        self.assertEqual(self.attempt_as(65534, A), 'disconnected')
        self.assertEqual(self.call('status')[0]['clients'], 0)

    def test_a_disk_without_a_pool_is_told_how_to_make_one(self):
        refusal = self.refusal(self.client())
        self.assertEqual(refusal.errno, errno.ENOENT)
        self.assertIn('forebay pool create', str(refusal))
        self.set_pool()
        refusal = self.refusal(self.client(), pool='slow')
        self.assertEqual(refusal.errno, errno.ENOENT)
        self.assertIn("'slow'", str(refusal))

    def test_a_full_pool_is_named_and_nothing_is_left_in_it(self):
        self.set_pool()
        refusal = self.refusal(self.client(), limit=1 << 43,
                               reservation=1 << 43)
        self.assertEqual(refusal.errno, errno.ENOSPC)
        self.assertIn(self.pool, str(refusal))
        self.assertEqual(self.files(), [])

    def test_a_full_pool_says_what_is_reserved_by_whom(self):
        self.set_pool()
        self.client(A).open(limit=66 * MIB, reservation=66 * MIB)
        self.client(B).open(limit=64 * MIB)
        refusal = self.refusal(self.client(bytes([0xcc] * 16)), limit=1 << 43,
                               reservation=1 << 43)
        self.assertIn(f'66MiB by {A_TEXT}', str(refusal))
        self.assertIn('32MiB by bbbbbbbb', str(refusal))

    def test_a_limit_that_makes_no_file_is_refused(self):
        self.set_pool()
        for limit in (0, 63 * MIB, (1 << 64) - 1):
            refusal = self.refusal(self.client(), limit=limit)
            self.assertEqual(refusal.errno, errno.EINVAL)

    def test_a_cut_or_foreign_file_is_refused_and_left_alone(self):
        self.set_pool()
        self.client().open().close()
        path = os.path.join(self.pool, 'forebay', self.files()[0])
        os.truncate(path, 1000)
        refusal = self.refusal(self.client())
        self.assertEqual(refusal.errno, errno.EINVAL)
        self.assertIn(path, str(refusal))
        self.assertEqual(os.path.getsize(path), 1000)
        os.unlink(path)
        os.symlink('/etc/passwd', path)
        refusal = self.refusal(self.client())
        self.assertEqual(refusal.errno, errno.ELOOP)
        self.assertIn('symbolic link', str(refusal))

    def test_kept_memory_survives_the_client(self):
        self.set_pool()
        client = self.client()
        memory = client.keep('index', 8192)
        memory[5000:5005] = b'dirty'
        memory.close()
        client.close()
        again = self.client().keep('index', 8192)
        self.assertEqual(again[5000:5005], b'dirty')
        other = self.client(B).keep('index', 8192)
        self.assertEqual(other[5000:5005], bytes(5))
        # Another size takes its place.
        smaller = self.client().keep('index', 4096)
        self.assertEqual(smaller[:], bytes(4096))
        with self.assertRaises(Refused):
            self.client().keep('index', 4095)

    def test_who_breaks_the_protocol_is_disconnected_and_nobody_else(self):
        self.set_pool()
        good = self.client(B)
        for kind, payload in ((2, bytes(40)), (3, bytes(48)), (4, b''),
                              (4, bytes(96)), (4, bytes(8)), (9, b''), (1, bytes(56))):
            bad = self.client()
            bad.send(kind, payload)
            with self.assertRaises(Disconnected):
                bad.receive()
        bad = self.client()
        bad.socket.send(b'x')
        with self.assertRaises(Disconnected):
            bad.receive()
        with self.assertRaises(Disconnected):
            Client(self.socket, A, version=7).receive()
        refusal = self.refusal(self.client(), version=1)
        self.assertEqual(refusal.errno, errno.EPROTONOSUPPORT)
        self.assertEqual(good.open().file_bytes, 64 * MIB)

    def test_a_client_that_reads_no_answers_is_disconnected(self):
        self.set_pool()
        client = self.client()
        with self.assertRaises((BrokenPipeError, ConnectionResetError)):
            for _ in range(100000):
                client.send(2, struct.pack('<Q32s', 4096, b'memory'))
        self.assertEqual(self.client(B).open().file_bytes, 64 * MIB)

    # What death does.

    def test_a_restart_changes_nothing_for_a_living_disk(self):
        self.set_pool()
        grant = self.client().open()
        self.assertTrue(grant.try_lock())
        self.daemon.kill()
        self.assertEqual(os.pwrite(grant.fd, mmap.mmap(-1, 4096), 0), 4096)
        self.start()
        info, _ = self.call('disk-info', uuid=A_TEXT)
        self.assertTrue(info['open'])
        again = self.client().open()
        self.assertEqual(again.file_bytes, grant.file_bytes)
        self.assertFalse(again.try_lock())
        grant.close()
        self.assertTrue(again.try_lock())

    def test_kills_while_files_are_made_leave_whole_files_or_none(self):
        self.set_pool()
        for turn in range(8):
            uuid = bytes([turn] * 16)
            client = Client(self.socket, uuid)
            client.send(4, client.open_message(limit=256 * MIB))
            time.sleep(turn * 0.0005)  # so that the kill meets each step
            self.daemon.kill()
            client.close()
            self.start()
            for name in self.files():
                self.assertTrue(name.endswith('.cache'))
                path = os.path.join(self.pool, 'forebay', name)
                self.assertEqual(os.path.getsize(path), 256 * MIB)
                self.assertGreaterEqual(os.stat(path).st_blocks * 512,
                                        32 * MIB)
            grant = self.client(uuid).open(limit=256 * MIB)
            grant.close()

    # What the control plane sees.

    def test_pools_are_remembered_and_reported(self):
        self.set_pool()
        self.client().open()
        self.daemon.kill()
        self.start()
        stats, error = self.call('pool-stats')
        self.assertIsNone(error)
        pool, = stats['pools']
        directory, = pool['paths']
        self.assertEqual(pool['name'], 'fast')
        self.assertEqual(directory['path'], self.pool)
        self.assertEqual(directory['file_count'], 1)
        self.assertEqual(directory['file_bytes'], 32 * MIB)
        self.assertGreater(directory['size_bytes'], directory['free_bytes'])
        self.assertIsNone(directory['reason'])

    def test_a_pool_that_cannot_be_used_changes_nothing(self):
        self.set_pool()
        missing = os.path.join(self.root, 'missing')
        _, error = self.call('pools', pools=[
            {'name': 'fast', 'paths': [self.pool]},
            {'name': 'more', 'paths': [missing]}])
        self.assertEqual(error['errno'], -errno.ENOENT)
        self.assertIn(missing, error['message'])
        stats, _ = self.call('pool-stats')
        self.assertEqual([p['name'] for p in stats['pools']], ['fast'])
        with open(self.config, encoding='utf-8') as config:
            self.assertNotIn('missing', config.read())

    def test_a_pool_directory_that_went_away_is_not_made_again(self):
        self.set_pool()
        self.client().open().close()
        folder = os.path.join(self.pool, 'forebay')
        os.rename(folder, folder + '.away')
        for _ in range(2):
            refusal = self.refusal(self.client())
            self.assertIn(folder, str(refusal))
            self.assertIn('mount', str(refusal))
            self.assertFalse(os.path.exists(folder))
            self.daemon.kill()
            self.start()
        os.rename(folder + '.away', folder)
        self.assertEqual(self.client().open().file_bytes, 64 * MIB)

    def two_directories(self):
        """The pool has two; A's file is in the one whose path is returned."""
        other = os.path.join(self.root, 'other')
        os.mkdir(other)
        self.set_pool(self.pool, other)
        self.client(A).open().close()
        return next(path for path in (self.pool, other)
                    if os.listdir(os.path.join(path, 'forebay')))

    def path_stats(self, path):
        stats, _ = self.call('pool-stats')
        return next(directory for directory in stats['pools'][0]['paths']
                    if directory['path'] == path)

    def test_a_directory_that_went_away_touches_its_own_disks_only(self):
        lost = self.two_directories()
        os.rename(lost, lost + '.away')
        for _ in range(2):
            self.assertIn(lost, str(self.refusal(self.client(A))))
            self.assertIsNotNone(self.path_stats(lost)['reason'])
            self.assertEqual(self.path_stats(lost)['disks'], [A_TEXT])
            # One that never had a file goes where room is.
            self.assertEqual(self.client(B).open().file_bytes, 64 * MIB)
            self.daemon.kill()
            self.start()
        os.rename(lost + '.away', lost)
        self.assertEqual(self.client(A).open().file_bytes, 64 * MIB)

    def test_files_from_before_there_were_notes_are_not_taken_for_lost(self):
        lost = self.two_directories()
        self.daemon.kill()
        shutil.rmtree(self.config + '.disks')
        with open(self.config, encoding='utf-8') as file:
            config = json.load(file)
        del config['pools'][0]['listed']
        with open(self.config, 'w', encoding='utf-8') as file:
            json.dump(config, file)
        os.rename(lost, lost + '.away')
        self.start()
        # Nobody can say whose files were there.
        self.assertIn(lost, str(self.refusal(self.client(B))))
        self.daemon.kill()
        os.rename(lost + '.away', lost)
        self.start()
        os.rename(lost, lost + '.away')
        self.assertIn(lost, str(self.refusal(self.client(A))))
        self.client(B).open().close()

    def test_a_disk_whose_cache_was_deleted_has_no_file_anywhere(self):
        lost = self.two_directories()
        _, error = self.call('disk-delete', uuid=A_TEXT)
        self.assertIsNone(error)
        self.assertEqual(self.path_stats(lost)['disks'], [])
        os.rename(lost, lost + '.away')
        self.assertEqual(self.client(A).open().file_bytes, 64 * MIB)

    def test_a_locked_cache_is_not_deleted(self):
        self.set_pool()
        grant = self.client().open()
        grant.try_lock()
        _, error = self.call('disk-delete', uuid=A_TEXT)
        self.assertEqual(error['errno'], -errno.EBUSY)
        self.assertEqual(len(self.files()), 1)
        waiting = self.client().open()
        grant.close()
        _, error = self.call('disk-delete', uuid=A_TEXT)
        self.assertIsNone(error)
        self.assertEqual(self.files(), [])
        # The one that waited gets its lock, and sees that it is worth nothing.
        self.assertTrue(waiting.try_lock())
        self.assertEqual(os.fstat(waiting.fd).st_nlink, 0)
        info, _ = self.call('disk-info', uuid=A_TEXT)
        self.assertFalse(info['exists'])
        _, error = self.call('disk-delete', uuid=A_TEXT)
        self.assertIsNone(error)

    def test_disk_info_tells_where_the_cache_is_and_whether_it_is_open(self):
        self.set_pool()
        grant = self.client().open()
        info, _ = self.call('disk-info', uuid=A_TEXT)
        self.assertEqual(info, {
            'exists': True, 'pool': 'fast', 'bytes': 64 * MIB, 'open': False,
            'allocated_bytes': 32 * MIB,
            'path': os.path.join(self.pool, 'forebay', f'{A_TEXT}.cache')})
        grant.try_lock()
        info, _ = self.call('disk-info', uuid=A_TEXT)
        self.assertTrue(info['open'])
        _, error = self.call('disk-info', uuid='x')
        self.assertEqual(error['errno'], -errno.EINVAL)
        _, error = self.call('nothing')
        self.assertLess(error['errno'], 0)

    # How it starts and ends.

    def test_sigterm_ends_it_with_0(self):
        self.assertEqual(self.daemon.stop(), 0)

    def test_a_second_daemon_on_the_same_sockets_is_refused(self):
        second = subprocess.run(
            [PROGRAM, '--config', self.config, '--socket', self.socket,
             '--control-socket', self.control_socket, '--status-fd', '1'],
            capture_output=True, text=True, timeout=30)
        self.assertEqual(second.returncode, 1)
        report = json.loads(second.stdout)
        self.assertEqual(report['state'], 'failed')
        self.assertIn(self.socket, report['message'])
        self.assertTrue(self.answers())

    def test_a_broken_configuration_is_named(self):
        self.daemon.kill()
        with open(self.config, 'w', encoding='utf-8') as config:
            config.write('{')
        broken = subprocess.run(
            [PROGRAM, '--config', self.config, '--socket', self.socket,
             '--control-socket', self.control_socket],
            capture_output=True, text=True, timeout=30)
        self.assertEqual(broken.returncode, 1)
        self.assertIn(self.config, broken.stderr)

    def test_it_uses_no_cpu_when_idle(self):
        def ticks():
            with open(f'/proc/{self.daemon.pid}/stat', encoding='ascii') as at:
                fields = at.read().rsplit(')', 1)[1].split()
            return int(fields[11]) + int(fields[12])
        before = ticks()
        ctypes.CDLL(None).sleep(1)
        self.assertLess(ticks() - before, 10)


if __name__ == '__main__':
    tap.main()
