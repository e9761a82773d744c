# SPDX-License-Identifier: Apache-2.0
"""The journal of the kill loop: it sees what it is there to see."""

import random
import unittest

import tap
from nbd_load import Load
from nbd_server import MIB, Server
from sector_journal import Journal, Lost, stamp


class Promises(unittest.TestCase):

    def setUp(self):
        self.journal = Journal()

    def write(self, first, count):
        version = self.journal.write_begin(first, count)
        self.journal.write_end(first, count, version)
        return version

    def flush(self):
        self.journal.flush_end(self.journal.flush_begin())

    def test_a_read_must_be_the_last_acknowledged_version(self):
        old = self.write(8, 2)
        new = self.write(8, 2)
        self.journal.check(8, stamp(8, 2, new))
        with self.assertRaises(Lost):
            self.journal.check(8, stamp(8, 2, old))

    def test_a_flushed_version_may_not_be_lost(self):
        old = self.write(8, 1)
        new = self.write(8, 1)
        self.flush()
        self.journal.settle(8, stamp(8, 1, new))
        with self.assertRaises(Lost):
            self.journal.settle(8, stamp(8, 1, old))

    def test_an_unflushed_version_may_be_lost_and_is_counted(self):
        old = self.write(8, 1)
        self.flush()
        self.write(8, 1)
        self.journal.settle(8, stamp(8, 1, old))
        self.assertEqual(self.journal.lost_acked, 1)

    def test_a_write_in_flight_may_have_happened_sector_by_sector(self):
        old = self.write(8, 2)
        new = self.journal.write_begin(8, 2)
        self.journal.settle(8, stamp(8, 1, old) + stamp(9, 1, new))
        self.journal.check(8, stamp(8, 1, old) + stamp(9, 1, new))

    def test_what_a_crash_settled_does_not_change_again(self):
        old = self.write(8, 1)
        self.flush()
        new = self.write(8, 1)
        self.journal.settle(8, stamp(8, 1, old))
        with self.assertRaises(Lost):
            self.journal.settle(8, stamp(8, 1, new))

    def test_a_flush_covers_nothing_that_came_after_it(self):
        old = self.write(8, 1)
        covered = self.journal.flush_begin()
        self.write(8, 1)
        self.journal.flush_end(covered)
        self.journal.settle(8, stamp(8, 1, old))

    def test_torn_misplaced_and_foreign_sectors_are_seen(self):
        version = self.write(8, 1)
        good = stamp(8, 1, version)
        for bad in (good[:256] + bytes(256), stamp(9, 1, version),
                    stamp(8, 1, version + 1), b'x' * 512,
                    good[:-1] + b'x'):
            with self.assertRaises(Lost):
                self.journal.settle(8, bad)

    def test_sectors_never_written_are_zeros(self):
        self.journal.check(100, bytes(1024))
        with self.assertRaises(Lost):
            self.journal.check(100, stamp(100, 1, 1))


class Verdicts(unittest.TestCase):

    def test_a_server_that_forgets_everything_is_found_out(self):
        server = Server(self, 8 * MIB, 'reversed')
        load = Load(server.uri, [(0, 4096), (8192, 2048)], random.Random(1))
        load.connect()
        while load.done['flush'] < 3:
            load.step()
        server.popen.kill()
        load.run_until_broken()
        server = Server(self, 8 * MIB, path=server.path)
        with self.assertRaises(Lost):
            load.settle()

    def test_a_server_that_forgets_nothing_is_believed(self):
        server = Server(self, 8 * MIB, 'reversed')
        load = Load(server.uri, [(0, 4096), (8192, 2048)], random.Random(2))
        load.connect()
        while load.done['flush'] < 3 or load.done['read'] < 200:
            load.step()
        load.drain()
        load.disconnect()
        load.settle()
        load.drain()
        self.assertEqual(load.journal.lost_acked, 0)


if __name__ == '__main__':
    tap.main()
