# SPDX-License-Identifier: Apache-2.0
"""forebay-cached shares a small file system between fake filters.

Arguments: forebay-cached, then words that select tests.
"""

import ctypes
import errno
import os
import select
import subprocess
import sys
import unittest
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'lib'))

import spawn  # noqa: E402
import tap  # noqa: E402
from pool_client import MIB, Client, Refused, control  # noqa: E402

PROGRAM = sys.argv.pop(1)
A, B, C = (bytes([letter] * 16) for letter in (0xaa, 0xbb, 0xcc))
LIBC = ctypes.CDLL(None, use_errno=True)
HOLE = 3  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
SIZE = 200 * MIB
# Of that, what the file system itself is left.
USABLE = 194 * MIB


def fallocate(fd, mode, offset, length):
    done = LIBC.fallocate(fd, mode, ctypes.c_long(offset),
                          ctypes.c_long(length))
    if done < 0:
        raise OSError(ctypes.get_errno(), 'fallocate')


class Disk:
    """A filter that does what it is told."""

    def __init__(self, test, name, limit=SIZE, reservation=0):
        self.test = test
        self.name = name
        self.limit = limit
        self.reservation = reservation
        self.grant = None
        self.granted = 0
        self.client = None
        self.connect()

    def connect(self):
        self.client = Client(self.test.socket, self.name)
        self.test.addCleanup(self.client.close)

    def open(self):
        self.grant = self.client.open(limit=self.limit,
                                      reservation=self.reservation)
        self.test.assertTrue(self.grant.try_lock())
        self.obey(self.grant.granted_bytes)
        return self

    def obey(self, granted):
        allocated = os.fstat(self.grant.fd).st_blocks * 512
        if granted < allocated:
            fallocate(self.grant.fd, HOLE, granted,
                      self.grant.file_bytes - granted)
        else:
            fallocate(self.grant.fd, 0, 0, granted)
        self.granted = granted

    def use(self, count=0):
        self.client.use(self.granted, count, limit=self.limit,
                        reservation=self.reservation, used=self.granted)

    def follow(self):
        self.obey(self.client.may()[0])
        self.use()

    def fileno(self):
        return self.client.socket.fileno()

    def die(self):
        """As kill -9: the connection and the lock are gone at once."""
        self.client.close()
        self.grant.close()

    def close(self):
        self.grant.close()
        self.client.bye()
        self.client.close()


class Sharing(unittest.TestCase):
    def setUp(self):
        self.root = spawn.folder(self)
        self.pool = os.path.join(self.root, 'ssd')
        self.socket = os.path.join(self.root, 'cached.sock')
        self.control_socket = os.path.join(self.root, 'control.sock')
        os.mkdir(self.pool)
        mounted = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', f'size={SIZE}', 'none', self.pool],
            capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest('may not mount: ' + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ['umount', '-l', self.pool],
                        check=False)
        self.start()
        _, error = control(self.control_socket, 'pools',
                           pools=[{'name': 'ssd', 'paths': [self.pool]}])
        self.assertIsNone(error)

    def start(self):
        self.daemon = spawn.Process(
            [PROGRAM, '--config', os.path.join(self.root, 'cached.json'),
             '--socket', self.socket, '--control-socket', self.control_socket],
            os.path.join(self.root, 'cached.log'))
        self.addCleanup(self.daemon.kill)
        spawn.wait_until(self.answers, 15, 'forebay-cached answers')

    def answers(self):
        try:
            result, _ = control(self.control_socket, 'status')
            return result['pid'] == self.daemon.pid
        except (FileNotFoundError, ConnectionError):
            return False

    def shares(self):
        stats, error = control(self.control_socket, 'pool-stats')
        self.assertIsNone(error)
        return {uuid.UUID(share['uuid']).bytes: share
                for share in stats['pools'][0]['paths'][0]['shares']}

    def refusal(self, disk):
        with self.assertRaises(Refused) as caught:
            disk.open()
        self.assertEqual(caught.exception.errno, errno.ENOSPC)
        return str(caught.exception)

    def free_bytes(self):
        status = os.statvfs(self.pool)
        return status.f_bavail * status.f_frsize

    def test_a_disk_gets_its_limit_while_there_is_room(self):
        self.assertEqual(Disk(self, A, 90 * MIB).open().granted, 90 * MIB)
        self.assertEqual(Disk(self, B, 64 * MIB).open().granted, 64 * MIB)
        # And the next one what there is.
        last = Disk(self, C).open().granted
        self.assertTrue(36 * MIB <= last <= 40 * MIB, last)

    def test_a_file_grows_with_the_limit_and_never_shrinks(self):
        for limit, size in ((64, 64), (100, 100), (80, 100)):
            disk = Disk(self, A, limit * MIB).open()
            self.assertEqual(disk.grant.file_bytes, size * MIB)
            self.assertEqual(os.fstat(disk.grant.fd).st_size, size * MIB)
            disk.close()
            self.assertLessEqual(disk.granted, limit * MIB)

    def test_who_finds_no_room_waits_until_others_have_made_some(self):
        first = Disk(self, A).open()
        self.assertGreaterEqual(first.granted, USABLE - 2 * MIB)
        second = Disk(self, B)
        self.assertIn('is full', self.refusal(second))
        self.assertEqual(self.shares()[B]['state'], 'waiting')
        first.follow()
        # It is called, and is let in.
        granted, _ = second.client.may()
        self.assertEqual(granted, 32 * MIB)
        self.assertGreaterEqual(second.open().granted, 32 * MIB)

    def test_space_goes_where_the_use_is_and_back(self):
        disks = [Disk(self, A), Disk(self, B)]
        disks[0].open()
        self.refusal(disks[1])
        disks[0].follow()
        disks[1].open()
        for busy, idle, use in ((disks[1], disks[0], 1 << 34),
                                (disks[0], disks[1], 1 << 44)):
            while busy.granted < 120 * MIB:
                busy.use(use)
                told, _, _ = select.select(disks, [], [], 15)
                self.assertTrue(told, self.shares())
                for disk in told:
                    disk.follow()
            self.assertGreaterEqual(idle.granted, 32 * MIB)
            self.assertLessEqual(busy.granted + idle.granted, USABLE)
        self.assertGreaterEqual(self.free_bytes(), 4 * MIB)

    def test_what_is_reserved_is_certain_and_named(self):
        Disk(self, A, reservation=128 * MIB).open()
        second = Disk(self, B, 100 * MIB, reservation=80 * MIB)
        message = self.refusal(second)
        self.assertIn(f'128MiB by {uuid.UUID(bytes=A)}', message)
        self.assertNotIn(B, self.shares())

    def test_a_reservation_is_taken_from_what_others_share(self):
        first = Disk(self, A).open()
        second = Disk(self, B, reservation=100 * MIB)
        self.refusal(second)
        first.follow()
        self.assertLessEqual(first.granted, USABLE - 100 * MIB)
        second.client.may()
        self.assertGreaterEqual(second.open().granted, 98 * MIB)

    def await_reserved(self, disk, reserved_bytes):
        """What a disk says comes another way than our questions do."""
        spawn.wait_until(
            lambda: self.shares()[disk]['reserved_bytes'] == reserved_bytes,
            30, 'what it reserves is known')

    def test_a_reservation_that_grows_has_to_fit(self):
        first = Disk(self, A, 100 * MIB, reservation=64 * MIB).open()
        Disk(self, B, 80 * MIB, reservation=80 * MIB).open()
        first.reservation = 100 * MIB
        first.use()
        self.await_reserved(A, 100 * MIB)
        first.limit = first.reservation = 150 * MIB
        first.use()
        self.assertEqual(self.shares()[A]['reserved_bytes'], 100 * MIB)

    def test_a_restart_learns_from_the_disks_what_is_whose(self):
        first = Disk(self, A, reservation=100 * MIB).open()
        self.daemon.kill()
        self.start()
        # Nobody may take what somebody has locked.
        self.assertEqual(self.shares()[A]['state'], 'open')
        self.refusal(Disk(self, B))
        first.connect()
        first.use()
        self.await_reserved(A, 100 * MIB)
        self.assertEqual(self.shares()[A]['granted_bytes'], first.granted)
        self.assertIn(str(uuid.UUID(bytes=A)),
                      self.refusal(Disk(self, C, reservation=120 * MIB)))
        second = Disk(self, B)
        self.refusal(second)
        first.follow()
        second.client.may()
        second.open()

    def test_the_cache_of_a_closed_disk_goes_when_another_needs_the_room(self):
        closed = Disk(self, A, 90 * MIB).open()
        closed.close()
        small = Disk(self, B, 64 * MIB).open()
        # Enough for both: it keeps its clean data.
        self.assertEqual(self.shares()[A]['state'], 'closed')
        small.die()
        other = Disk(self, C).open()
        # That isn't enough for long.
        self.assertIn(A, self.shares())
        other.use(1)
        other.follow()
        self.assertNotIn(A, self.shares())
        self.assertGreater(other.granted, 100 * MIB)

    def test_the_cache_of_a_disk_that_died_is_left_alone(self):
        died = Disk(self, A, 150 * MIB).open()
        died.die()
        other = Disk(self, B).open()
        self.assertLess(other.granted, 60 * MIB)
        self.assertEqual(self.shares()[A]['state'], 'closed')
        self.assertEqual(self.shares()[A]['allocated_bytes'], 150 * MIB)
        # It comes back to what it had, but for a first step.
        self.assertGreater(Disk(self, A, 150 * MIB).open().granted, 110 * MIB)

    def test_a_farewell_is_void_when_the_disk_is_open_again(self):
        first = Disk(self, A, 150 * MIB).open()
        first.grant.close()
        second = Disk(self, A, 150 * MIB).open()
        first.client.bye()
        second.die()
        Disk(self, B).open()
        self.assertIn(A, self.shares())

    def test_a_kill_in_between_repeats_nothing_and_loses_nothing(self):
        first = Disk(self, A).open()
        second = Disk(self, B)
        self.refusal(second)
        granted, _ = first.client.may()
        # It gives back, and nobody is there to hear of it.
        self.daemon.kill()
        first.obey(granted)
        self.start()
        first.connect()
        first.use()
        second.connect()
        opened = spawn.wait_until(lambda: self.attempt(second), 15,
                                  'the second one opens')
        self.assertLessEqual(opened.granted + first.granted, USABLE)

    @staticmethod
    def attempt(disk):
        try:
            return disk.open()
        except Refused:
            return None


if __name__ == '__main__':
    tap.main()
