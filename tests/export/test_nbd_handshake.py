# SPDX-License-Identifier: Apache-2.0
"""Negotiation with the NBD server, byte by byte."""

import os
import socket
import stat
import struct
import subprocess
import unittest

import spawn
import tap
from nbd_server import (
    ABORT, ACK, EXPORT_NAME, GO, INFO, INVALID, LIST, MIB, OPTION_MAGIC,
    PROGRAM, READ, REP_INFO, REP_SERVER, SECONDS, STARTTLS, STRUCTURED,
    TOO_BIG, UNKNOWN, UNSUPPORTED, Raw, Server, info_bytes, option_bytes,
    request_bytes)


class Handshake(unittest.TestCase):

    def setUp(self):
        self.server = Server(self, MIB)

    def test_the_greeting_offers_fixed_newstyle(self):
        client = Raw(self, self.server)
        self.assertEqual(client.greeting, b'NBDMAGICIHAVEOPT\0\3')

    def test_list_names_the_export(self):
        replies = Raw(self, self.server).option(LIST)
        self.assertEqual(replies, [(REP_SERVER, b'\0\0\0\6memory'),
                                   (ACK, b'')])

    def test_list_with_data_is_refused(self):
        replies = Raw(self, self.server).option(LIST, b'x')
        self.assertEqual(replies[0][0], INVALID)

    def test_an_unknown_option_is_refused_and_the_next_one_works(self):
        client = Raw(self, self.server)
        for option in (4, 9, 10, 11, 0, 12345, 0xffffffff):
            self.assertEqual(client.option(option, b'whatever')[0][0],
                             UNSUPPORTED)
        self.assertEqual(client.go().call(READ, 0, 512), 0)

    def test_starttls_is_refused_with_advice(self):
        kind, words = Raw(self, self.server).option(STARTTLS)[0]
        self.assertEqual(kind, UNSUPPORTED)
        self.assertIn(b'TLS proxy', words)

    def test_abort_is_answered_and_closes(self):
        client = Raw(self, self.server)
        self.assertEqual(client.option(ABORT), [(ACK, b'')])
        self.assertTrue(client.at_end())

    def test_info_tells_size_flags_block_sizes_and_texts(self):
        replies = Raw(self, self.server).option(
            INFO, info_bytes(b'memory', (1, 2, 3, 999)))
        infos = {struct.unpack('>H', data[:2])[0]: data[2:]
                 for kind, data in replies if kind == REP_INFO}
        self.assertEqual(replies[-1], (ACK, b''))
        self.assertEqual(infos[0], struct.pack('>QH', MIB, 0x16d))
        self.assertEqual(infos[1], b'memory')
        self.assertEqual(infos[2], b'a disk of memory')
        self.assertEqual(infos[3], struct.pack('>III', 512, 4096, 32 * MIB))

    def test_a_disk_without_discard_offers_none(self):
        server = Server(self, MIB, 'no-discard')
        replies = Raw(self, server).option(GO, info_bytes(b'memory'))
        self.assertEqual(replies[0][1], struct.pack('>HQH', 0, MIB, 0x10d))

    def test_the_empty_name_is_the_default_export(self):
        replies = Raw(self, self.server).option(INFO, info_bytes())
        self.assertEqual(replies[-1], (ACK, b''))

    def test_an_unknown_export_is_refused_and_another_try_works(self):
        client = Raw(self, self.server)
        for option in (INFO, GO):
            kind, _ = client.option(option, info_bytes(b'memor'))[0]
            self.assertEqual(kind, UNKNOWN)
        client.go()

    def test_lengths_that_contradict_each_other_are_refused(self):
        client = Raw(self, self.server)
        for data in (b'', b'\0\0\0', b'\xff\xff\xff\xff\0\0',
                     b'\0\0\0\1\0\0', b'\0\0\0\0\0\1', b'\0\0\0\0\0\0\0',
                     b'\0\0\0\6memory\xff\xff'):
            with self.subTest(data=data):
                self.assertEqual(client.option(GO, data)[0][0], INVALID)
        client.go()

    def test_an_option_too_long_is_read_past(self):
        client = Raw(self, self.server)
        for length in (8193, 100000, 1 << 20):
            replies = client.option(GO, bytes(length))
            self.assertEqual(replies[0][0], TOO_BIG)
        client.go()

    def test_an_option_at_the_limit_is_looked_at(self):
        name = b'n' * (8192 - 6)
        kind, _ = Raw(self, self.server).option(GO, info_bytes(name))[0]
        self.assertEqual(kind, UNKNOWN)

    def test_an_option_of_absurd_length_ends_the_connection(self):
        client = Raw(self, self.server)
        client.send(struct.pack('>QII', OPTION_MAGIC, GO, (1 << 20) + 1))
        self.assertTrue(client.at_end())

    def test_a_wrong_option_magic_ends_the_connection(self):
        client = Raw(self, self.server)
        client.send(struct.pack('>QII', OPTION_MAGIC ^ 1, GO, 0))
        self.assertTrue(client.at_end())

    def test_unknown_client_flags_end_the_connection(self):
        for flags in (4, 1 << 31):
            self.assertTrue(Raw(self, self.server, flags).at_end())

    def test_export_name_sends_zeroes_unless_told_not_to(self):
        for flags, zeroes in ((1, 124), (3, 0)):
            client = Raw(self, self.server, flags)
            client.send(option_bytes(EXPORT_NAME, b'memory'))
            self.assertEqual(client.take(10 + zeroes),
                             struct.pack('>QH', MIB, 0x16d) + bytes(zeroes))
            self.assertEqual(client.call(READ, 0, 512), 0)

    def test_an_unknown_export_name_ends_the_connection(self):
        client = Raw(self, self.server)
        client.send(option_bytes(EXPORT_NAME, b'other'))
        self.assertTrue(client.at_end())

    def test_structured_replies_carry_offset_and_data(self):
        client = Raw(self, self.server)
        self.assertEqual(client.option(STRUCTURED, b'x')[0][0], INVALID)
        self.assertEqual(client.option(STRUCTURED), [(ACK, b'')])
        flags = client.option(GO, info_bytes())[0][1][-2:]
        self.assertEqual(flags, b'\1\xed')
        client.request(READ, 5, 1024, 512, flags=4)
        head = struct.unpack('>IHHQIQ', client.take(28))
        self.assertEqual(head, (0x668e33ef, 1, 1, 5, 520, 1024))
        client.take(512)
        client.request(READ, 6, MIB, 512)
        head = struct.unpack('>IHHQIIH', client.take(26))
        self.assertEqual(head, (0x668e33ef, 1, 0x8001, 6, 6, 22, 0))

    def test_options_and_a_request_sent_at_once_are_all_answered(self):
        client = Raw(self, self.server, None)
        client.send(struct.pack('>I', 3) + option_bytes(LIST) +
                    option_bytes(99) + option_bytes(GO, info_bytes()) +
                    request_bytes(READ, 8, 0, 512))
        kinds = [client.option_reply()[1] for _ in range(6)]
        self.assertEqual(kinds, [REP_SERVER, ACK, UNSUPPORTED, REP_INFO,
                                 REP_INFO, ACK])
        self.assertEqual(client.reply(), (8, 0))

    def test_a_client_that_says_nothing_is_hung_up_on(self):
        clients = [Raw(self, self.server, flags) for flags in (None, 3)]
        for client in clients:
            self.assertTrue(client.at_end())
        self.assertEqual(self.server.stats()['connections_broken'], 2)

    def test_one_client_too_many_is_hung_up_on(self):
        clients = [Raw(self, self.server).go() for _ in range(16)]
        late = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(late.close)
        late.settimeout(SECONDS)
        late.connect(self.server.path)
        self.assertEqual(late.recv(1), b'')
        self.assertEqual(self.server.stats()['connections_refused'], 1)
        clients[3].socket.close()
        spawn.wait_until(
            lambda: self.server.stats()['connections'] == 15, SECONDS,
            'one client less')
        Raw(self, self.server).go()


class Socket(unittest.TestCase):

    def refused(self, path):
        done = subprocess.run([PROGRAM, path, '1048576'], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=SECONDS, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(path, done.stderr)
        return done.stderr

    def test_owner_and_group_may_connect_and_nobody_else(self):
        server = Server(self, MIB)
        self.assertEqual(stat.S_IMODE(os.stat(server.path).st_mode), 0o660)

    def test_a_dead_servers_socket_is_replaced(self):
        first = Server(self, MIB)
        first.popen.kill()
        first.popen.wait()
        second = Server(self, MIB, path=first.path)
        Raw(self, second).go()

    def test_a_living_servers_socket_is_left_alone(self):
        server = Server(self, MIB)
        self.assertIn('another process', self.refused(server.path))
        Raw(self, server).go()

    def test_a_file_in_the_way_is_left_alone(self):
        path = os.path.join(spawn.folder(self), 'f')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('precious')
        self.assertIn('in the way', self.refused(path))
        with open(path, encoding='utf-8') as file:
            self.assertEqual(file.read(), 'precious')

    def test_a_path_that_no_socket_can_have_is_refused(self):
        path = os.path.join(spawn.folder(self), 'x' * 100)
        self.assertIn('longer than 107', self.refused(path))

    def test_the_path_is_gone_after_a_stop(self):
        server = Server(self, MIB)
        self.assertEqual(server.end(), 0)
        self.assertFalse(os.path.exists(server.path))


if __name__ == '__main__':
    tap.main()
