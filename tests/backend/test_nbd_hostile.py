# SPDX-License-Identifier: Apache-2.0
"""Servers that break the protocol: the disk lives, and no wrong data come."""

import struct
import time
import unittest

import nbd

import spawn
import tap
from disk_process import MIB, Disk
from nbd_own_server import READ, STATUS, WRITE, LateServer, Server, chunk, \
    simple

SIZE = MIB
SECONDS = 60
MARK = b'\x5a' * 4096


class Case(unittest.TestCase):

    def open(self, server_class, *words, **options):
        folder = spawn.folder(self)
        server = server_class(self, folder, SIZE, *words, **options)
        disk = Disk(self, size=SIZE, folder=folder)
        disk.config['backend'] = server.uri
        return disk.start_ready(), server

    def finish(self, handle, *cookies):
        deadline = time.monotonic() + SECONDS
        for cookie in cookies:
            while not handle.aio_command_completed(cookie):
                self.assertLess(time.monotonic(), deadline, 'no answer')
                handle.poll(100)

    def write(self, handle, data, offset=0):
        return handle.aio_pwrite(
            nbd.Buffer.from_bytearray(bytearray(data)), offset)


class Honest(Case):

    def test_an_honest_server_of_ours_serves(self):
        for structured in (False, True):
            with self.subTest(structured):
                disk, _ = self.open(Server, structured=structured)
                handle = disk.nbd()
                handle.pwrite(MARK, 4096)
                handle.flush()
                self.assertEqual(handle.pread(4096, 4096), MARK)


class Late(Case):

    def test_a_late_write_does_not_replace_a_newer_one(self):
        disk, server = self.open(LateServer, 2)
        handle = disk.nbd()
        older = b'LATE' * 1024
        newer = b'NEW.' * 1024
        first = self.write(handle, older)
        while not server.held.is_set():
            handle.poll(20)
        server.cut()
        self.finish(handle, first)
        # Acknowledged by its second copy; the first is still to come.
        second = self.write(handle, newer)
        self.finish(handle, second)
        spawn.wait_until(
            lambda: sum(data == older for _, _, data in server.writes) == 2,
            SECONDS, 'the late write has landed')
        self.assertEqual(handle.pread(4096, 0), newer)
        order = [data for _, _, data in server.writes]
        self.assertEqual(order[-1], newer)


class Hostile(Case):
    """Each breaks the protocol at the first read, and is honest after it."""

    def check(self, reply, structured=False, outcomes=('again',)):
        """
        @reply makes the bytes for the first read. The outcome is one of:
        'again', the read was made again and has the data; 'error'.
        """
        class Breaker(Server):
            broken = False

            def reply(self, connection, kind, cookie, offset, length, data):
                if kind == READ and not self.broken:
                    self.broken = True
                    connection.sendall(reply(cookie, offset, length))
                    return True
                return super().reply(connection, kind, cookie, offset, length,
                                     data)

        disk, server = self.open(Breaker, structured=structured)
        server.data[0:4096] = MARK
        handle = disk.nbd()
        buffer = nbd.Buffer(4096)
        try:
            self.finish(handle, handle.aio_pread(buffer, 0))
            outcome = 'again'
            self.assertEqual(bytes(buffer.to_bytearray()), MARK)
        except nbd.Error:
            outcome = 'error'
        self.assertIn(outcome, outcomes)
        self.assertTrue(server.broken)
        # It lives, and serves.
        self.assertEqual(handle.pread(4096, 0), MARK)
        self.assertTrue(disk.process.alive())

    def test_a_reply_to_a_request_that_nobody_made_breaks_the_connection(self):
        self.check(lambda cookie, _offset, length:
                   simple(cookie + 1000, 0, bytes(length)))

    def test_a_reply_with_another_magic_breaks_the_connection(self):
        self.check(lambda cookie, _offset, length:
                   b'\x00' * 16 + bytes(length))

    def test_an_unknown_error_number_is_an_error(self):
        self.check(lambda cookie, _offset, _length:
                   simple(cookie, 0xffffffff), outcomes=('error',))

    def test_a_chunk_that_is_longer_than_the_request_is_not_stored(self):
        self.check(lambda cookie, offset, length: chunk(
            cookie, 1, struct.pack('>Q', offset) + b'\xff' * (length + 65536)),
            structured=True, outcomes=('again', 'error'))

    def test_a_chunk_outside_the_request_is_not_stored(self):
        self.check(lambda cookie, offset, length: chunk(
            cookie, 1, struct.pack('>Q', offset + (1 << 40)) +
            b'\xff' * length), structured=True, outcomes=('again', 'error'))

    def test_a_chunk_of_4_gib_is_refused(self):
        self.check(lambda cookie, offset, _length: chunk(
            cookie, 1, struct.pack('>Q', offset), length=0xffffffff),
            structured=True)

    def test_a_chunk_too_short_for_its_head_is_refused(self):
        self.check(lambda cookie, _offset, _length: chunk(cookie, 1, b'\0'),
                   structured=True)

    def test_a_hole_beyond_the_request_is_not_stored(self):
        self.check(lambda cookie, offset, _length: chunk(
            cookie, 2, struct.pack('>QI', offset, 0xfffffe00)),
            structured=True, outcomes=('again', 'error'))

    def test_a_read_whose_data_are_missing_is_an_error(self):
        self.check(lambda cookie, _offset, _length: chunk(cookie, 0, b''),
                   structured=True, outcomes=('error',))

    def test_a_read_half_of_whose_data_are_missing_is_an_error(self):
        self.check(lambda cookie, offset, length: chunk(
            cookie, 1, struct.pack('>Q', offset) + b'\xff' * (length // 2)),
            structured=True, outcomes=('error',))

    def test_an_error_message_longer_than_its_chunk_is_refused(self):
        self.check(lambda cookie, _offset, _length: chunk(
            cookie, 0x8001, struct.pack('>IH', 5, 0xffff) + b'x'),
            structured=True, outcomes=('again', 'error'))

    def test_a_block_status_without_end_is_refused(self):
        self.check(lambda cookie, _offset, _length: chunk(
            cookie, 5, struct.pack('>I', 1) + b'\0' * 13), structured=True,
            outcomes=('again', 'error'))

    def test_extents_of_no_length_end_the_question(self):
        class Empty(Server):
            def reply(self, connection, kind, cookie, offset, length, data):
                if kind != STATUS:
                    return super().reply(connection, kind, cookie, offset,
                                         length, data)
                connection.sendall(chunk(
                    cookie, 5, struct.pack('>III', 1, 0, 3)))
                return True

        disk, _ = self.open(Empty, structured=True)
        handle = nbd.NBD()
        handle.add_meta_context('base:allocation')
        handle.set_export_name('db1')
        handle.connect_unix(disk.path('nbd'))
        found = []
        try:
            handle.block_status(SIZE, 0, lambda *words: found.append(words))
        except nbd.Error:
            pass
        for _, _, entries, _ in found:
            self.assertNotIn(3, entries[1::2])
        self.assertTrue(disk.process.alive())

    def test_a_second_answer_to_one_request_is_not_taken(self):
        self.check(lambda cookie, _offset, length:
                   simple(cookie, 0, MARK) + simple(cookie, 0, b'\xff' * length))

    def test_a_server_that_shuts_down_is_waited_for(self):
        self.check(lambda cookie, _offset, _length: simple(cookie, 108))

    def test_a_shutdown_error_of_a_write_is_not_an_error_of_the_disk(self):
        class Leaving(Server):
            leaving = True

            def reply(self, connection, kind, cookie, offset, length, data):
                if kind == WRITE and self.leaving:
                    self.leaving = False
                    connection.sendall(simple(cookie, 108))
                    return True
                return super().reply(connection, kind, cookie, offset, length,
                                     data)

        disk, server = self.open(Leaving)
        handle = disk.nbd()
        handle.pwrite(MARK, 0)
        self.assertFalse(server.leaving)
        self.assertEqual(handle.pread(4096, 0), MARK)


if __name__ == '__main__':
    tap.main()
