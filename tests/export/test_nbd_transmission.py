# SPDX-License-Identifier: Apache-2.0
"""Requests to the NBD server: good, bad, many, and cut off."""

import signal
import struct
import unittest

import nbd

import spawn
import tap
from nbd_server import (
    ALLOCATION, CACHE, DF, DIRTY, DISCONNECT, EINVAL, EIO, ENOSPC, ENOTSUP,
    EPERM, FAST, FLUSH, FUA, GO, MIB, NO_HOLE, READ, REQ_ONE, SECONDS,
    STATUS, STRUCTURED, TRIM, WRITE, ZEROES, Raw, Server, info_bytes,
    option_bytes, request_bytes)


class Requests(unittest.TestCase):

    def setUp(self):
        self.server = Server(self, 64 * MIB)

    def client(self):
        return Raw(self, self.server).go()

    def test_what_is_written_is_read(self):
        client = self.client()
        data = bytes(range(256)) * 16
        self.assertEqual(client.call(WRITE, 8192, 4096, payload=data), 0)
        client.request(READ, 9, 8192, 4096)
        self.assertEqual(client.reply(), (9, 0))
        self.assertEqual(client.take(4096), data)

    def test_a_wrong_magic_ends_the_connection(self):
        client = self.client()
        client.send(b'\0' * 28)
        self.assertTrue(client.at_end())
        self.assertEqual(self.server.stats()['connections_broken'], 1)

    def test_unknown_commands_and_flags_are_refused(self):
        client = self.client()
        for command in (STATUS, 8, 9, 65535):
            self.assertEqual(client.call(command, 0, 512), EINVAL)
        for command in (READ, WRITE, FLUSH, TRIM, CACHE, ZEROES):
            length = 0 if command == FLUSH else 512
            payload = bytes(512) if command == WRITE else b''
            self.assertEqual(client.call(command, 0, length, 1 << 15,
                                         payload), EINVAL)
        self.assertEqual(client.call(READ, 0, 512, flags=4), EINVAL)
        self.assertEqual(client.call(READ, 0, 512, flags=FUA), 0)

    def test_what_is_not_aligned_to_512_is_refused(self):
        client = self.client()
        for offset, length in ((1, 512), (0, 511), (256, 512), (0, 0)):
            for command in (READ, TRIM, CACHE, ZEROES, WRITE):
                payload = bytes(length) if command == WRITE else b''
                self.assertEqual(
                    client.call(command, offset, length, payload=payload),
                    EINVAL)
        self.assertEqual(client.call(FLUSH, 512, 0), EINVAL)

    def test_what_is_beyond_the_end_is_refused(self):
        client = self.client()
        for offset in (64 * MIB, 64 * MIB - 512, (1 << 64) - 1024):
            payload = bytes(1024)
            self.assertEqual(client.call(READ, offset, 1024), EINVAL)
            self.assertEqual(client.call(WRITE, offset, 1024,
                                         payload=payload), ENOSPC)
            self.assertEqual(client.call(ZEROES, offset, 1024), ENOSPC)
            self.assertEqual(client.call(TRIM, offset, 1024), EINVAL)
            self.assertEqual(client.call(CACHE, offset, 1024), EINVAL)
        self.assertEqual(client.call(READ, 64 * MIB - 512, 512), 0)
        self.assertEqual(self.server.counts()['write'], 0)

    def test_the_longest_request_works_and_a_longer_one_is_refused(self):
        client = self.client()
        longest = 32 * MIB
        self.assertEqual(client.call(WRITE, 0, longest,
                                     payload=b'7' * longest), 0)
        client.request(READ, 1, 0, longest)
        self.assertEqual(client.reply(), (1, 0))
        self.assertEqual(client.take(longest), b'7' * longest)
        self.assertEqual(client.call(READ, 0, longest + 512), EINVAL)
        self.assertEqual(client.call(WRITE, 0, longest + 512,
                                     payload=bytes(longest + 512)), EINVAL)
        self.assertEqual(client.call(READ, 0, 512), 0)

    def test_a_write_of_absurd_length_ends_the_connection(self):
        client = self.client()
        client.request(WRITE, 1, 0, 64 * MIB + 512)
        self.assertTrue(client.at_end())

    def test_a_read_only_name_refuses_changes(self):
        read_only = Server(self, MIB, 'read-only')
        for server, name in ((read_only, b'memory'), (read_only, b'memory-ro'),
                             (self.server, b'memory-ro')):
            client = Raw(self, server).go(name)
            payload = bytes(512)
            self.assertEqual(client.call(WRITE, 0, 512, payload=payload),
                             EPERM)
            self.assertEqual(client.call(TRIM, 0, 512), EPERM)
            self.assertEqual(client.call(ZEROES, 0, 512), EPERM)
            self.assertEqual(client.call(ZEROES, 0, 512, FAST), EINVAL)
            self.assertEqual(client.call(READ, 0, 512), 0)
            self.assertEqual(client.call(CACHE, 0, 512), 0)
            self.assertEqual(client.call(FLUSH), 0)

    def test_what_is_written_under_one_name_is_read_under_the_other(self):
        client = self.client()
        reader = Raw(self, self.server).go(b'memory-ro')
        for i in range(1, 9):
            self.assertEqual(client.call(WRITE, 4096, 512,
                                         payload=bytes([i]) * 512), 0)
            reader.request(READ, i, 4096, 512)
            self.assertEqual(reader.reply(), (i, 0))
            self.assertEqual(reader.take(512), bytes([i]) * 512)

    def test_what_the_chain_lacks_works_but_is_not_fast(self):
        client = Raw(self, Server(self, MIB, 'no-discard')).go()
        client.call(WRITE, 0, 512, payload=b'x' * 512)
        self.assertEqual(client.call(TRIM, 0, 512), 0)
        self.assertEqual(client.call(ZEROES, 0, 512, FAST), ENOTSUP)
        self.assertEqual(client.call(ZEROES, 0, 512, FAST | NO_HOLE), ENOTSUP)
        client.request(READ, 1, 0, 512)
        client.reply()
        self.assertEqual(client.take(512), b'x' * 512)
        self.assertEqual(client.call(ZEROES, 0, 512), 0)
        client.request(READ, 1, 0, 512)
        client.reply()
        self.assertEqual(client.take(512), bytes(512))

    def test_fast_zeroes_work_where_the_chain_takes_them(self):
        client = self.client()
        client.call(WRITE, 0, 4096, payload=b'x' * 4096)
        self.assertEqual(client.call(ZEROES, 0, 4096, FAST | FUA), 0)
        client.request(READ, 1, 0, 4096)
        client.reply()
        self.assertEqual(client.take(4096), bytes(4096))

    def test_lengths_up_to_the_protocols_end_are_taken(self):
        server = Server(self, 5 << 30)
        client = Raw(self, server)
        number = client.select(ALLOCATION)[ALLOCATION]
        client.go()
        longest = (1 << 32) - 512
        self.assertEqual(client.call(CACHE, 512, longest), 0)
        self.assertEqual(client.status(512, longest),
                         {number: [(longest, 3)]})

    def test_zeroes_longer_than_any_write_are_one_request(self):
        client = self.client()
        client.call(WRITE, 0, 4096, payload=b'x' * 4096)
        self.assertEqual(client.call(ZEROES, 0, 64 * MIB, flags=2), 0)
        client.request(READ, 1, 0, 4096)
        client.reply()
        self.assertEqual(client.take(4096), bytes(4096))

    def test_failures_below_are_told_and_the_connection_goes_on(self):
        client = self.client()
        self.server.ask('fail 1', 'failing')
        self.assertEqual(client.call(READ, 0, 4096), EIO)
        self.assertEqual(client.call(WRITE, 0, 512, payload=bytes(512)),
                         ENOSPC)
        self.assertEqual(client.call(READ, 0, 4096), 0)
        client = Raw(self, self.server)
        client.option(STRUCTURED)
        client.go()
        self.server.ask('fail 1', 'failing')
        client.request(READ, 2, 8192, 4096)
        flags, kind, cookie, payload = client.chunk()
        self.assertEqual((flags, kind, cookie), (1, 0x8002, 2))
        error, length = struct.unpack('>IH', payload[:6])
        self.assertEqual((error, length), (EIO, len(payload) - 14))
        self.assertEqual(payload[-8:], struct.pack('>Q', 8192))

    def test_a_payload_that_comes_in_pieces_is_put_together(self):
        client = self.client()
        data = bytes(i * 31 % 251 for i in range(300 * 1024))
        stream = request_bytes(WRITE, 1, 4096, len(data)) + data
        for at in range(0, len(stream), 7001):
            client.send(stream[at:at + 7001])
            self.server.counts()
        self.assertEqual(client.reply(), (1, 0))
        client.request(READ, 2, 4096, len(data))
        client.reply()
        self.assertEqual(client.take(len(data)), data)

    def test_writes_that_follow_each_other_are_not_copied(self):
        client = self.client()
        for i in range(32):
            self.assertEqual(client.call(WRITE, i * 4096, 4096,
                                         payload=bytes(4096)), 0)
        before = self.server.counts()['copied_bytes']
        stream = b''.join(request_bytes(WRITE, i, i * 4096, 4096) +
                          bytes([i]) * 4096 for i in range(60))
        client.send(stream)
        self.assertEqual([client.reply() for _ in range(60)],
                         [(i, 0) for i in range(60)])
        self.assertEqual(self.server.counts()['copied_bytes'], before)

    def test_a_mix_sent_at_once_is_told_apart(self):
        client = self.client()
        stream = b''
        for i in range(40):
            length = 512 * (1 + i * 7 % 50)
            stream += request_bytes(WRITE, i, i * MIB, length)
            stream += bytes([i + 1]) * length
            stream += request_bytes(READ, 1000 + i, i * MIB, 512)
        client.send(stream)
        for i in range(40):
            self.assertEqual(client.reply(), (i, 0))
            self.assertEqual(client.reply(), (1000 + i, 0))
            self.assertEqual(client.take(512), bytes([i + 1]) * 512)


class Status(unittest.TestCase):

    def setUp(self):
        self.server = Server(self, 64 * MIB)

    def client(self, *queries):
        client = Raw(self, self.server)
        numbers = client.select(*queries or (ALLOCATION, DIRTY))
        client.go()
        return client, *(numbers[name] for name in queries or
                         (ALLOCATION, DIRTY))

    def test_several_contexts_and_extents_come_in_one_reply(self):
        client, allocation, dirty = self.client()
        client.call(WRITE, 8192, 4096, payload=b'd' * 4096)
        client.call(FLUSH)
        client.call(WRITE, 16384, 4096, payload=b'd' * 4096)
        self.assertEqual(client.status(0, MIB), {
            allocation: [(8192, 3), (4096, 0), (4096, 3), (4096, 0),
                         (MIB - 20480, 3)],
            dirty: [(16384, 0), (4096, 1), (MIB - 20480, 0)]})
        client.call(FLUSH)
        self.assertEqual(client.status(0, MIB)[dirty], [(MIB, 0)])

    def test_one_extent_is_sent_to_who_wants_one(self):
        client, allocation, dirty = self.client()
        client.call(WRITE, 8192, 4096, payload=b'd' * 4096)
        self.assertEqual(client.status(4096, MIB, REQ_ONE),
                         {allocation: [(4096, 3)], dirty: [(4096, 0)]})
        self.assertEqual(client.status(8192, 512, REQ_ONE | FUA),
                         {allocation: [(512, 0)], dirty: [(512, 1)]})

    def test_a_client_that_asks_on_hears_of_every_block(self):
        client, allocation = self.client(ALLOCATION)
        for at in range(0, 1500 * 8192, 8192):
            client.request(WRITE, 1, at, 512)
            client.send(b'd' * 512)
            self.assertEqual(client.reply(), (1, 0))
        client.call(FLUSH)
        at = count = 0
        while at < 1500 * 8192:
            extents = client.status(at, 64 * MIB - at)[allocation]
            self.assertLessEqual(len(extents), 500)
            for length, status in extents:
                if at < 1500 * 8192:
                    self.assertEqual((length % 4096, status),
                                     (0, 3 if at % 8192 else 0))
                at += length
                count += 1
        self.assertEqual((at, count), (64 * MIB, 3000))

    def test_bad_questions_are_refused_with_structure(self):
        client, _ = self.client(ALLOCATION)
        for offset, length in ((0, 0), (1, 512), (512, 100), (64 * MIB, 512),
                               (64 * MIB - 512, 1024), ((1 << 64) - 512, 512)):
            self.assertEqual(client.status(offset, length), EINVAL)
        for flag in (NO_HOLE, DF, FAST):
            self.assertEqual(client.status(0, 512, flag), EINVAL)
        bare = Raw(self, self.server)
        bare.option(STRUCTURED)
        self.assertEqual(bare.go().status(0, 512), EINVAL)

    def test_a_failure_below_is_told(self):
        client, allocation = self.client(ALLOCATION)
        self.server.ask('fail 1', 'failing')
        self.assertEqual(client.status(0, 512), EIO)
        self.assertEqual(client.status(0, 512), {allocation: [(512, 3)]})

    def test_questions_and_reads_share_the_slots(self):
        server = Server(self, MIB, 'reversed')
        client = Raw(self, server)
        client.select(ALLOCATION)
        client.go()
        client.send(b''.join(
            request_bytes(STATUS if i % 2 else READ, i, 0, 16384)
            for i in range(200)))
        seen = set()
        for _ in range(200):
            flags, kind, cookie, payload = client.chunk()
            self.assertEqual((flags, kind), (1, 5 if cookie % 2 else 1))
            self.assertEqual(len(payload), 12 if cookie % 2 else 16392)
            seen.add(cookie)
        self.assertEqual(seen, set(range(200)))


class Durability(unittest.TestCase):

    def setUp(self):
        self.server = Server(self, 4 * MIB)
        self.clean = self.server.durable(0, 4 * MIB)

    def connect(self):
        handle = nbd.NBD()
        handle.connect_uri(self.server.uri)
        self.addCleanup(handle.shutdown)
        return handle

    def test_a_flush_covers_writes_of_every_connection(self):
        writers = [self.connect() for _ in range(4)]
        for i, writer in enumerate(writers):
            writer.pwrite(bytes([i + 1]) * 4096, i * 8192)
        self.assertEqual(self.server.durable(0, 4 * MIB), self.clean)
        flusher = self.connect()
        self.assertTrue(flusher.can_multi_conn())
        flusher.flush()
        other = Server(self, 4 * MIB)
        handle = nbd.NBD()
        handle.connect_uri(other.uri)
        for i in range(4):
            handle.pwrite(bytes([i + 1]) * 4096, i * 8192)
        handle.flush()
        handle.shutdown()
        self.assertEqual(self.server.durable(0, 4 * MIB),
                         other.durable(0, 4 * MIB))

    def test_a_write_with_fua_is_durable_and_others_are_not(self):
        handle = self.connect()
        handle.pwrite(b'a' * 512, 0)
        self.assertEqual(self.server.durable(0, 4 * MIB), self.clean)
        handle.pwrite(b'b' * 512, 512, nbd.CMD_FLAG_FUA)
        self.assertNotEqual(self.server.durable(512, 512),
                            self.server.durable(1024, 512))
        self.assertEqual(self.server.durable(0, 512),
                         self.server.durable(1024, 512))
        self.assertEqual(self.server.counts()['fua'], 1)

    def test_trims_and_zeroes_with_fua_are_durable(self):
        handle = self.connect()
        zeros = self.server.durable(0, 8192)
        for change in (handle.trim, handle.zero):
            handle.pwrite(b'a' * 8192, 0, nbd.CMD_FLAG_FUA)
            self.assertNotEqual(self.server.durable(0, 8192), zeros)
            change(8192, 0)
            self.assertNotEqual(self.server.durable(0, 8192), zeros)
            change(8192, 0, nbd.CMD_FLAG_FUA)
            self.assertEqual(self.server.durable(0, 8192), zeros)


class InFlight(unittest.TestCase):

    def test_replies_come_in_order_of_completion(self):
        server = Server(self, MIB, 'held')
        client = Raw(self, server).go()
        for cookie in (1, 2, 3):
            client.request(READ, cookie, 0, 512)
        server.wait_in_flight(3)
        for cookie in (3, 2, 1):
            server.release(1)
            self.assertEqual(client.reply(), (cookie, 0))
            client.take(512)

    def test_requests_beyond_the_budget_wait(self):
        server = Server(self, MIB, 'held')
        client = Raw(self, server).go()
        for cookie in range(100):
            client.request(READ, cookie, 0, 512)
        server.wait_in_flight(64)
        self.assertEqual(server.counts()['read'], 64)
        seen = set()
        while len(seen) < 100:
            if server.release(64):
                for _ in range(min(64, 100 - len(seen))):
                    seen.add(client.reply()[0])
                    client.take(512)
        self.assertEqual(seen, set(range(100)))

    def test_memory_beyond_the_budget_is_waited_for(self):
        server = Server(self, 32 * MIB, 'held')
        client = Raw(self, server).go()
        for cookie in range(5):
            client.request(READ, cookie, 0, 32 * MIB)
        for wanted in (2, 2, 1):
            server.wait_in_flight(wanted)
            server.release(wanted)
            for _ in range(wanted):
                self.assertEqual(client.reply()[1], 0)
                client.take(32 * MIB)

    def test_a_quiet_connection_gives_memory_back(self):
        server = Server(self, 32 * MIB)
        client = Raw(self, server).go()

        def resident():
            path = f'/proc/{server.popen.pid}/smaps_rollup'
            with open(path, encoding='utf-8') as file:
                return next(int(line.split()[1]) * 1024 for line in file
                            if line.startswith('Anonymous:'))

        before = resident()
        client.send(b''.join(request_bytes(READ, i, 0, 32 * MIB)
                             for i in range(2)))
        for _ in range(2):
            client.reply()
            client.take(32 * MIB)
        self.assertGreater(resident(), before + 32 * MIB)
        spawn.wait_until(lambda: resident() < before + 4 * MIB, SECONDS,
                         'less memory in use')
        self.assertEqual(client.call(READ, 0, 32 * MIB), 0)

    def test_requests_wait_when_the_pipeline_has_none_left(self):
        server = Server(self, MIB, 'reversed', 'few-requests')
        clients = [Raw(self, server).go() for _ in range(4)]
        for client in clients:
            for cookie in range(50):
                client.request(READ, cookie, 0, 512)
        for client in clients:
            cookies = set()
            for _ in range(50):
                cookies.add(client.reply()[0])
                client.take(512)
            self.assertEqual(cookies, set(range(50)))

    def test_a_client_that_does_not_read_blocks_no_other(self):
        server = Server(self, 4 * MIB)
        lazy = Raw(self, server).go()
        lazy.send(b''.join(request_bytes(READ, cookie, 0, MIB)
                           for cookie in range(200)))
        other = Raw(self, server).go()
        for _ in range(20):
            self.assertEqual(other.call(READ, 0, MIB), 0)
        for cookie in range(200):
            self.assertEqual(lazy.reply(), (cookie, 0))
            lazy.take(MIB)

    def test_disconnect_answers_what_came_before_it(self):
        server = Server(self, MIB, 'held')
        client = Raw(self, server).go()
        client.send(request_bytes(READ, 1, 0, 512) +
                    request_bytes(DISCONNECT, 2))
        server.wait_in_flight(1)
        server.release(1)
        self.assertEqual(client.reply(), (1, 0))
        client.take(512)
        self.assertTrue(client.at_end())
        server.wait_no_clients()

    def test_a_client_that_vanishes_leaves_nothing_behind(self):
        server = Server(self, 32 * MIB, 'held')
        for command, length in ((READ, 512), (READ, 8 * MIB), (FLUSH, 0)):
            client = Raw(self, server).go()
            for cookie in range(5):
                client.request(command, cookie, 0, length)
            server.wait_in_flight(5)
            client.socket.close()
            server.release(5)
            server.wait_no_clients()
        self.assertEqual(server.counts()['in_flight'], 0)

    def test_a_client_may_vanish_at_any_byte(self):
        server = Server(self, MIB)
        session = (struct.pack('>I', 3) + option_bytes(STRUCTURED) +
                   option_bytes(GO, info_bytes(b'memory', (3,))) +
                   request_bytes(WRITE, 1, 0, 512) + bytes(512) +
                   request_bytes(READ, 2, 0, 512) +
                   request_bytes(WRITE, 3, 0, 20480) + bytes(20480) +
                   request_bytes(READ, 4, 0, 512))
        stops = [n for n in range(len(session))
                 if n < 240 or n % 1009 == 0 or n > len(session) - 30]
        for stop in stops:
            client = Raw(self, server, None)
            client.send(session[:stop])
            client.socket.close()
        server.wait_no_clients()
        self.assertEqual(server.stats()['connections_broken'], 0)
        self.assertEqual(Raw(self, server).go().call(READ, 0, 512), 0)


class Stopping(unittest.TestCase):

    def test_a_stop_answers_what_is_in_flight(self):
        server = Server(self, MIB, 'held')
        client = Raw(self, server).go()
        client.send(b''.join(request_bytes(READ, i, 0, 512)
                             for i in range(10)))
        server.wait_in_flight(10)
        server.popen.send_signal(signal.SIGTERM)
        cookies = set()
        for _ in range(10):
            cookies.add(client.reply()[0])
            client.take(512)
        self.assertEqual(cookies, set(range(10)))
        self.assertTrue(client.at_end())
        self.assertEqual(server.popen.wait(SECONDS), 0)

    def test_a_stop_ends_idle_and_half_open_clients(self):
        server = Server(self, MIB)
        clients = [Raw(self, server, None), Raw(self, server),
                   Raw(self, server).go()]
        half = Raw(self, server).go()
        half.send(request_bytes(WRITE, 1, 0, 4096) + bytes(100))
        server.popen.send_signal(signal.SIGTERM)
        for client in clients + [half]:
            self.assertTrue(client.at_end())
        self.assertEqual(server.popen.wait(SECONDS), 0)

    def test_a_client_that_does_not_read_does_not_hold_up_a_stop(self):
        server = Server(self, 4 * MIB)
        lazy = Raw(self, server).go()
        for cookie in range(20):
            lazy.request(READ, cookie, 0, 4 * MIB)
        spawn.wait_until(lambda: server.counts()['read'] >= 16, SECONDS,
                         'requests under way')
        server.popen.send_signal(signal.SIGTERM)
        self.assertEqual(server.popen.wait(SECONDS), 0)


class ManyConnections(unittest.TestCase):

    def test_eight_connections_at_once_read_what_each_wrote(self):
        server = Server(self, 64 * MIB, 'reversed')
        handles = []
        for _ in range(8):
            handle = nbd.NBD()
            handle.connect_uri(server.uri)
            handles.append(handle)
        pending = []
        for number, handle in enumerate(handles):
            for i in range(40):
                offset = (number * 40 + i) * 8192 * 5
                fill = bytes([number * 31 + i & 255]) * (512 * (1 + i % 80))
                cookie = handle.aio_pwrite(nbd.Buffer.from_bytearray(
                    bytearray(fill)), offset)
                pending.append((handle, cookie, offset, fill))
        for handle, cookie, _, _ in pending:
            while not handle.aio_command_completed(cookie):
                handle.poll(1000)
        for number, (_, _, offset, fill) in enumerate(pending):
            reader = handles[(number + 3) % 8]
            self.assertEqual(reader.pread(len(fill), offset),
                             bytearray(fill))
        for handle in handles:
            handle.shutdown()
        server.wait_no_clients()
        self.assertEqual(server.stats()['connections_total'], 8)
        self.assertEqual(server.stats()['reply_errors'], 0)


if __name__ == '__main__':
    tap.main()
