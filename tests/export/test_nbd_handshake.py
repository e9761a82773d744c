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
    ABORT, ACK, ALLOCATION, DIRTY, EINVAL, EXPORT_NAME, FLAGS, GO, INFO,
    INVALID, LIST, LIST_CONTEXT, MIB, OPTION_MAGIC, PROGRAM, READ,
    READ_ONLY_FLAGS, REP_CONTEXT, REP_INFO, REP_SERVER, SECONDS, SET_CONTEXT,
    STARTTLS, STRUCTURED, TOO_BIG, UNKNOWN, UNSUPPORTED, WITH_DF, Raw, Server,
    context_bytes, info_bytes, option_bytes, request_bytes)


class Handshake(unittest.TestCase):

    def setUp(self):
        self.server = Server(self, MIB)

    def test_the_greeting_offers_fixed_newstyle(self):
        client = Raw(self, self.server)
        self.assertEqual(client.greeting, b'NBDMAGICIHAVEOPT\0\3')

    def test_list_names_the_disk_and_its_read_only_twin(self):
        replies = Raw(self, self.server).option(LIST)
        self.assertEqual(replies, [(REP_SERVER, b'\0\0\0\6memory'),
                                   (REP_SERVER, b'\0\0\0\x09memory-ro'),
                                   (ACK, b'')])

    def test_list_with_data_is_refused(self):
        replies = Raw(self, self.server).option(LIST, b'x')
        self.assertEqual(replies[0][0], INVALID)

    def test_an_unknown_option_is_refused_and_the_next_one_works(self):
        client = Raw(self, self.server)
        for option in (4, 11, 0, 12345, 0xffffffff):
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
        self.assertEqual(infos[0], struct.pack('>QH', MIB, FLAGS))
        self.assertEqual(infos[1], b'memory')
        self.assertEqual(infos[2], b'a disk of memory')
        self.assertEqual(infos[3], struct.pack('>III', 512, 4096, 32 * MIB))

    def test_a_disk_without_discard_offers_it_all_the_same(self):
        server = Server(self, MIB, 'no-discard')
        replies = Raw(self, server).option(GO, info_bytes(b'memory'))
        self.assertEqual(replies[0][1], struct.pack('>HQH', 0, MIB, FLAGS))

    def test_the_second_name_is_read_only(self):
        for words in ((), ('read-only',)):
            client = Raw(self, Server(self, MIB, *words))
            for option in (INFO, GO):
                replies = client.option(option, info_bytes(b'memory-ro', (1,)))
                self.assertEqual(replies[0][1], struct.pack(
                    '>HQH', 0, MIB, READ_ONLY_FLAGS))
                self.assertIn((REP_INFO, b'\0\1memory-ro'), replies)

    def test_of_a_read_only_disk_both_names_are(self):
        client = Raw(self, Server(self, MIB, 'read-only'))
        for name in (b'', b'memory'):
            replies = client.option(INFO, info_bytes(name))
            self.assertEqual(replies[0][1], struct.pack(
                '>HQH', 0, MIB, READ_ONLY_FLAGS))

    def test_the_empty_name_is_the_default_export(self):
        replies = Raw(self, self.server).option(INFO, info_bytes())
        self.assertEqual(replies[-1], (ACK, b''))

    def test_an_unknown_export_is_refused_and_another_try_works(self):
        client = Raw(self, self.server)
        for option in (INFO, GO):
            kind, _ = client.option(option, info_bytes(b'memor'))[0]
            self.assertEqual(kind, UNKNOWN)
        client.go()

    def test_a_name_of_any_length_is_refused_as_unknown(self):
        client = Raw(self, self.server)
        for length in (255, 256, 257, 3000, 4000, 4095, 4096, 4097, 8000):
            with self.subTest(length=length):
                for option in (INFO, GO):
                    kind, text = client.option(
                        option, info_bytes(b'n' * length))[0]
                    self.assertEqual(kind, UNKNOWN)
                    # The protocol's limit of a text.
                    self.assertLessEqual(len(text), 4096)
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
                             struct.pack('>QH', MIB, FLAGS) + bytes(zeroes))
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
        self.assertEqual(flags, struct.pack('>H', FLAGS | WITH_DF))
        client.request(READ, 5, 1024, 512, flags=4)
        head = struct.unpack('>IHHQIQ', client.take(28))
        self.assertEqual(head, (0x668e33ef, 1, 1, 5, 520, 1024))
        client.take(512)
        client.request(READ, 6, MIB, 512)
        flags, kind, cookie, payload = client.chunk()
        self.assertEqual((flags, kind, cookie), (1, 0x8001, 6))
        error, length = struct.unpack('>IH', payload[:6])
        self.assertEqual((error, length), (EINVAL, len(payload) - 6))

    def test_options_and_a_request_sent_at_once_are_all_answered(self):
        client = Raw(self, self.server, None)
        client.send(struct.pack('>I', 3) + option_bytes(LIST) +
                    option_bytes(99) + option_bytes(GO, info_bytes()) +
                    request_bytes(READ, 8, 0, 512))
        kinds = [client.option_reply()[1] for _ in range(7)]
        self.assertEqual(kinds, [REP_SERVER, REP_SERVER, ACK, UNSUPPORTED, REP_INFO,
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


class Contexts(unittest.TestCase):

    def setUp(self):
        self.server = Server(self, MIB)

    def client(self):
        client = Raw(self, self.server)
        client.option(STRUCTURED)
        return client

    def names(self, option, *queries, name=b'memory'):
        replies = self.client().option(option,
                                       context_bytes(*queries, name=name))
        self.assertEqual(replies.pop(), (ACK, b''))
        self.assertTrue(all(kind == REP_CONTEXT for kind, _ in replies))
        return [data[4:].decode() for _, data in replies]

    def test_structured_replies_come_first(self):
        client = Raw(self, self.server)
        for option in (LIST_CONTEXT, SET_CONTEXT):
            kind, words = client.option(option, context_bytes(ALLOCATION))[0]
            self.assertEqual(kind, INVALID)
            self.assertIn(b'structured replies first', words)

    def test_list_tells_all_or_what_was_asked_for(self):
        both = [ALLOCATION, DIRTY]
        self.assertEqual(self.names(LIST_CONTEXT), both)
        self.assertEqual(self.names(LIST_CONTEXT, name=b''), both)
        self.assertEqual(self.names(LIST_CONTEXT, name=b'memory-ro'), both)
        self.assertEqual(self.names(LIST_CONTEXT, 'base:'), [ALLOCATION])
        self.assertEqual(self.names(LIST_CONTEXT, 'forebay:', ALLOCATION),
                         both)
        self.assertEqual(self.names(LIST_CONTEXT, 'qemu:', 'base:x'), [])

    def test_set_selects_by_whole_names_and_numbers_them(self):
        client = Raw(self, self.server)
        numbers = client.select(DIRTY, ALLOCATION, 'base:', 'forebay:', 'x:y')
        self.assertEqual(set(numbers), {ALLOCATION, DIRTY})
        self.assertEqual(len(set(numbers.values())), 2)
        self.assertEqual(self.names(SET_CONTEXT), [])
        self.assertEqual(self.names(SET_CONTEXT, 'base:'), [])

    def test_an_unknown_export_has_no_contexts(self):
        for option in (LIST_CONTEXT, SET_CONTEXT):
            replies = self.client().option(
                option, context_bytes(ALLOCATION, name=b'other'))
            self.assertEqual(replies[0][0], UNKNOWN)

    def test_broken_queries_are_refused_and_the_next_option_works(self):
        client = self.client()
        good = context_bytes(ALLOCATION)
        for data in (b'', good[:-1], good + b'x', context_bytes('nothing'),
                     b'\xff\xff\xff\xff', context_bytes('base:' + 'x' * 4096)):
            with self.subTest(data=data[:40]):
                self.assertEqual(client.option(SET_CONTEXT, data)[0][0],
                                 INVALID)
        many = context_bytes(*['a:b'] * 65)
        self.assertEqual(client.option(SET_CONTEXT, many)[0][0], TOO_BIG)
        client.go()

    def test_contexts_are_forgotten_at_another_name(self):
        client = Raw(self, self.server)
        client.select(ALLOCATION, name=b'memory')
        client.go(b'memory-ro')
        self.assertEqual(client.status(0, 4096), EINVAL)
        client = Raw(self, self.server)
        number = client.select(ALLOCATION, name=b'memory-ro')[ALLOCATION]
        client.go(b'memory-ro')
        self.assertEqual(client.status(0, 4096), {number: [(4096, 3)]})

    def test_the_last_selection_counts_even_when_it_fails(self):
        client = Raw(self, self.server)
        client.select(ALLOCATION)
        client.option(SET_CONTEXT, context_bytes(ALLOCATION, name=b'other'))
        client.go()
        self.assertEqual(client.status(0, 4096), EINVAL)
        client = Raw(self, self.server)
        client.select(ALLOCATION)
        client.option(SET_CONTEXT, context_bytes())
        client.go()
        self.assertEqual(client.status(0, 4096), EINVAL)
        client = Raw(self, self.server)
        client.select(ALLOCATION)
        number = client.select(DIRTY)[DIRTY]
        client.go()
        self.assertEqual(client.status(0, 4096), {number: [(4096, 0)]})

    def test_contexts_outlive_an_info_and_work_with_export_name(self):
        client = Raw(self, self.server)
        number = client.select(ALLOCATION)[ALLOCATION]
        client.option(INFO, info_bytes(b'memory-ro'))
        client.send(option_bytes(EXPORT_NAME, b''))
        client.take(10)
        self.assertEqual(client.status(0, 512), {number: [(512, 3)]})


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
