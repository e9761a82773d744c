# SPDX-License-Identifier: Apache-2.0
"""An NBD export whose pipeline goes and comes back: nobody is hung up on."""

import select
import signal
import struct
import unittest

import nbd

import tap
from nbd_server import (
    ACK, ALLOCATION, DISCONNECT, EINVAL, ENOSPC, FLUSH, INFO, MIB, READ,
    SECONDS, TRIM, WRITE, ZEROES, Raw, Server, info_bytes, request_bytes)

CONNECTIONS_MAX = 16


class Park(unittest.TestCase):

    def setUp(self):
        self.server = Server(self, MIB)

    def client(self, name=b'memory'):
        return Raw(self, self.server).go(name)

    def park(self):
        self.server.ask('park', 'parked')

    def unpark(self, size=MIB):
        self.server.ask(f'unpark {size}', 'serving')

    def assert_silent(self, *clients):
        """All that they sent has been looked at, and nothing was answered."""
        # The loop takes what is ready in turn, so this one comes last.
        last = Raw(self, self.server)
        self.assertEqual(last.option(INFO, info_bytes())[-1][0], ACK)
        last.socket.close()
        ready, _, _ = select.select([c.socket for c in clients], [], [], 0.05)
        self.assertEqual(ready, [])

    def test_requests_wait_and_are_answered_on_the_same_connection(self):
        writer, reader = self.client(), self.client(b'memory-ro')
        self.park()
        writer.send(request_bytes(WRITE, 1, 4096, 4096) + b'w' * 4096 +
                    request_bytes(FLUSH, 2))
        reader.request(READ, 3, 8192, 512)
        self.assert_silent(writer, reader)
        self.assertEqual(self.server.counts()['write'], 0)
        self.unpark()
        self.assertEqual({writer.reply(), writer.reply()}, {(1, 0), (2, 0)})
        self.assertEqual(reader.reply(), (3, 0))
        self.assertEqual(reader.take(512), bytes(512))
        reader.request(READ, 4, 4096, 4096)
        self.assertEqual(reader.reply(), (4, 0))
        self.assertEqual(reader.take(4096), b'w' * 4096)

    def test_a_park_waits_for_what_is_in_flight(self):
        server = self.server = Server(self, MIB, 'held')
        client = self.client()
        client.request(READ, 1, 0, 512)
        server.wait_in_flight(1)
        server.tell('park')
        server.counts()  # is answered when it has heard that
        # What comes now isn't in flight: it waits for the next pipeline.
        client.request(READ, 2, 512, 512)
        self.assert_silent(client)
        self.assertEqual(server.counts()['in_flight'], 1)
        self.assertEqual(server.release(8), 1)
        server.expect('parked')
        self.assertEqual(client.reply(), (1, 0))
        client.take(512)
        self.unpark()
        server.wait_in_flight(1)
        server.release(8)
        self.assertEqual(client.reply(), (2, 0))

    def test_a_write_that_has_arrived_in_part_holds_nothing_up(self):
        client = self.client()
        data = bytes(i * 31 % 251 for i in range(300 * 1024))
        client.send(request_bytes(WRITE, 1, 0, len(data)) + data[:100000])
        self.assert_silent(client)
        self.park()
        client.send(data[100000:])
        self.assert_silent(client)
        self.unpark()
        self.assertEqual(client.reply(), (1, 0))
        client.request(READ, 2, 0, len(data))
        self.assertEqual(client.reply(), (2, 0))
        self.assertEqual(client.take(len(data)), data)

    def test_what_would_be_refused_is_refused_meanwhile(self):
        client = self.client()
        self.park()
        self.assertEqual(client.call(READ, MIB, 512), EINVAL)
        self.assertEqual(client.call(WRITE, MIB, 512, payload=bytes(512)),
                         ENOSPC)
        client.request(DISCONNECT, 1)
        self.assertTrue(client.at_end())

    def test_who_connects_meanwhile_negotiates_and_waits(self):
        self.park()
        client = Raw(self, self.server)
        self.assertEqual(list(client.select(ALLOCATION)), [ALLOCATION])
        client.go().request(FLUSH, 1)
        self.assert_silent(client)
        self.unpark()
        self.assertEqual(client.reply(), (1, 0))

    def test_more_requests_than_there_are_slots_wait(self):
        client = self.client()
        self.park()
        # At once, so that it takes less of the socket than so many sends.
        client.send(b''.join(request_bytes(READ, cookie, 512 * cookie, 512)
                             for cookie in range(200)))
        self.assert_silent(client)
        self.unpark()
        cookies = set()
        for _ in range(200):
            cookie, error = client.reply()
            self.assertEqual(error, 0)
            cookies.add(cookie)
            client.take(512)
        self.assertEqual(cookies, set(range(200)))

    def test_a_client_that_leaves_meanwhile_frees_its_place(self):
        self.park()
        for _ in range(3):
            clients = [self.client() for _ in range(CONNECTIONS_MAX)]
            for client in clients:
                client.request(FLUSH, 1)
            for client in clients:
                client.socket.close()
            self.server.wait_no_clients()
        self.assertEqual(self.server.stats()['connections_refused'], 0)
        self.unpark()
        self.assertEqual(self.client().call(FLUSH), 0)

    def test_it_comes_and_goes_again_and_again(self):
        clients = [self.client() for _ in range(4)]
        for number in range(50):
            self.park()
            for client in clients:
                client.send(request_bytes(WRITE, number, 0, 512) +
                            bytes([number]) * 512)
            self.unpark()
            for client in clients:
                self.assertEqual(client.reply(), (number, 0))
        self.assertEqual(self.server.counts()['write'], 200)

    def test_a_stop_ends_a_parked_export(self):
        waiting, idle = self.client(), self.client()
        self.park()
        waiting.send(request_bytes(WRITE, 1, 0, 512) + bytes(512))
        self.assert_silent(waiting, idle)
        self.server.popen.send_signal(signal.SIGTERM)
        self.assertTrue(waiting.at_end())
        self.assertTrue(idle.at_end())
        self.assertEqual(self.server.popen.wait(SECONDS), 0)

    def test_a_real_client_waits_with_all_that_it_has_in_flight(self):
        handle = nbd.NBD()
        handle.connect_uri(self.server.uri)
        self.park()
        fill = b'l' * 65536
        cookies = [handle.aio_pwrite(nbd.Buffer.from_bytearray(
            bytearray(fill)), i * len(fill)) for i in range(16)]
        for _ in range(10):
            handle.poll(10)
        self.assertFalse(any(handle.aio_command_completed(cookie)
                             for cookie in cookies))
        self.unpark()
        for cookie in cookies:
            while not handle.aio_command_completed(cookie):
                handle.poll(1000)
        self.assertEqual(handle.pread(MIB, 0), b'l' * MIB)
        handle.shutdown()


class Growth(unittest.TestCase):

    def setUp(self):
        self.server = Server(self, MIB)
        self.old = Raw(self, self.server).go()
        self.asking = Raw(self, self.server)
        self.assertEqual(self.size_told(self.asking, b'memory'), MIB)
        self.server.ask('park', 'parked')
        self.server.ask(f'unpark {2 * MIB}', 'serving')

    @staticmethod
    def size_told(client, name):
        """What INFO says first: the kind of information, then the size."""
        told = client.option(INFO, info_bytes(name))[0][1]
        return struct.unpack('>HQ', told[:10])[1]

    def test_who_asks_from_now_on_is_told_the_new_size(self):
        for client in (self.asking, Raw(self, self.server)):
            for name in (b'memory', b'memory-ro'):
                self.assertEqual(self.size_told(client, name), 2 * MIB)
        self.asking.go()
        self.assertEqual(self.asking.call(WRITE, MIB, 512,
                                          payload=b'n' * 512), 0)
        self.assertEqual(self.asking.call(READ, 2 * MIB, 512), EINVAL)

    def test_who_is_connected_keeps_the_size_that_it_was_told(self):
        self.assertEqual(self.old.call(WRITE, MIB - 512, 512,
                                       payload=b'o' * 512), 0)
        for command, error in ((READ, EINVAL), (WRITE, ENOSPC),
                               (ZEROES, ENOSPC), (TRIM, EINVAL)):
            payload = bytes(1024) if command == WRITE else b''
            self.assertEqual(self.old.call(command, MIB - 512, 1024,
                                           payload=payload), error)
        other = Raw(self, self.server).go(b'memory-ro')
        other.request(READ, 1, MIB - 512, 1024)
        self.assertEqual(other.reply(), (1, 0))
        self.assertEqual(other.take(1024), b'o' * 512 + bytes(512))


if __name__ == '__main__':
    tap.main()
