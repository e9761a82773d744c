# SPDX-License-Identifier: Apache-2.0
"""forebay bench against servers that are not Forebay's, and against ours."""

import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import unittest

import spawn
import tap

BUILD = os.environ['FOREBAY_BUILD']
TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'bench'))

import targets  # noqa: E402

FOREBAY = os.path.join(BUILD, 'src/cli/forebay')
MIB = 1 << 20
DISK_BYTES = 16 * MIB


class Nbdkit:
    """nbdkit's file plugin; restarts on the same socket."""

    def __init__(self, test, *filters):
        self.root = spawn.folder(test)
        self.image = os.path.join(self.root, 'image')
        with open(self.image, 'wb') as file:
            file.truncate(DISK_BYTES)
        self.socket = os.path.join(self.root, 's')
        self.filters = filters
        self.parameters = ()
        self.process = None
        self.target = ['--nbd', f'nbd+unix:///?socket={self.socket}']
        test.addCleanup(lambda: self.process.stop())
        self.start()

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = spawn.Process(
            ['nbdkit', '-f', '-U', self.socket, *self.filters, 'file',
             self.image, *self.parameters], os.path.join(self.root, 'log'))
        self.process.wait_for_file(self.socket)

    def kill(self):
        self.process.kill()
        self.start()


class Qsd(Nbdkit):
    """qemu-storage-daemon with a vhost-user-blk export of two queues."""

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.target = ['--vhost-user', self.socket]
        self.process = spawn.Process(
            ['qemu-storage-daemon', '--blockdev',
             f'driver=file,node-name=f,filename={self.image},discard=unmap,'
             'locking=off', '--export',
             'type=vhost-user-blk,id=e,node-name=f,writable=on,num-queues=2,'
             f'addr.type=unix,addr.path={self.socket}'],
            os.path.join(self.root, 'log'))
        self.process.wait_for_file(self.socket)


def bench(*words):
    return subprocess.run([FOREBAY, 'bench', *(str(word) for word in words)],
                          capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, check=False)


def report(test, server, *words):
    done = bench(*server.target, '-o', 'json', *words)
    test.assertEqual(done.returncode, 0, done.stderr + done.stdout)
    return json.loads(done.stdout)


WRITE = ('--read', 0, '--destroy-data')


class Flags(unittest.TestCase):
    def setUp(self):
        self.server = Nbdkit(self)

    def report(self, *words):
        return report(self, self.server, *words)

    def test_the_mix_is_as_asked_for(self):
        requests = self.report(
            '--count', 10000, '--depth', 8, '--read', 70, '--flush', 10,
            '--discard', 5, '--write-zeroes', 5, '--destroy-data')['requests']
        share = {kind: requests[kind]['count'] / 10000 for kind in requests}
        # Six standard deviations of ten thousand draws are below 3 %.
        for kind, wanted in (('read', .56), ('write', .24), ('flush', .1),
                             ('discard', .05), ('write_zeroes', .05)):
            self.assertAlmostEqual(share[kind], wanted, delta=.03)

    def test_it_ends_after_count_requests(self):
        self.assertEqual(
            self.report('--count', 77)['requests']['read']['count'], 77)

    def test_a_flush_comes_behind_every_n_writes(self):
        requests = self.report('--count', 110, '--flush-every', 10,
                               *WRITE)['requests']
        self.assertEqual((requests['write']['count'],
                          requests['flush']['count']), (100, 10))

    def test_the_depth_is_reached_and_not_exceeded(self):
        self.assertEqual(self.report('--count', 500, '--depth', 5, '--queues',
                                     3)['depth_reached'], 15)

    def test_a_rate_is_not_exceeded(self):
        result = self.report('--rate', 100, '--count', 50)
        # The 50th is due 490 ms after the first, however slow we are.
        self.assertGreaterEqual(result['seconds'], .49)

    def test_latency_at_a_rate_counts_from_when_a_request_was_due(self):
        server = Nbdkit(self, '--filter=delay')
        server.process.kill()
        server.parameters = ('rdelay=50ms',)
        server.start()
        # All were due within 20 ms, and the disk took them one by one.
        result = report(self, server, '--rate', 1000, '--count', 20)
        self.assertGreaterEqual(result['latency_us']['max'], 900000)

    def test_it_stays_within_offset_and_span(self):
        self.report('--count', 2000, '--depth', 4, '--offset', '4MiB',
                    '--span', '1MiB', *WRITE, '--verify')
        with open(self.server.image, 'rb') as file:
            data = file.read()
        self.assertEqual(data[:4 * MIB].count(0), 4 * MIB)
        self.assertEqual(data[5 * MIB:].count(0), 11 * MIB)
        self.assertLess(data[4 * MIB:5 * MIB].count(0), MIB // 2)

    def test_the_block_size_is_what_requests_have(self):
        result = self.report('--count', 10, '--block-size', '64KiB')
        self.assertEqual(result['requests']['read']['bytes'], 10 * 65536)

    def test_sequential_writes_each_block_once(self):
        self.report('--count', 256, '--block-size', '64KiB', '--pattern',
                    'sequential', '--depth', 4, *WRITE, '--verify')
        with open(self.server.image, 'rb') as file:
            for number in range(DISK_BYTES // 512):
                sector = file.read(512)
                self.assertEqual(
                    (int.from_bytes(sector[8:16], 'little'),
                     int.from_bytes(sector[16:20], 'little')), (number, 1))

    def test_zipf_writes_fewer_blocks_than_uniform(self):
        def blocks(pattern):
            return self.report('--count', 3000, '--pattern', pattern, *WRITE,
                               '--verify')['verify']['read_back_blocks']
        self.assertLess(blocks('zipf:1.2'), blocks('uniform') * .6)

    def test_data_move_through_the_memory(self):
        result = self.report('--count', 500, '--depth', 2, '--memory', '1MiB',
                             '--read', 50, '--destroy-data', '--verify')
        self.assertEqual(result['verify']['wrong_sectors'], 0)

    def test_the_server_behind_the_socket_is_found(self):
        result = self.report('--count', 5000)
        self.assertEqual(result['target']['pid'], self.server.process.pid)
        self.assertGreater(result['cpu_us_per_io']['target'], 0)

    def test_a_pipe_gets_a_table_and_no_live_line(self):
        done = bench(*self.server.target, '--seconds', 1.5)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertRegex(done.stdout, r'(?m)^read +\d+ +0 ')

    def on_a_terminal(self, *words):
        """What somebody who sits there sees."""
        terminal, slave = pty.openpty()
        self.addCleanup(os.close, terminal)
        load = subprocess.Popen(
            [FOREBAY, 'bench', *self.server.target, *words],
            stdin=slave, stdout=slave, stderr=slave,
            preexec_fn=spawn.die_with_parent)
        self.addCleanup(load.kill)
        os.close(slave)
        text = b''
        try:
            while True:
                text += os.read(terminal, 4096)
        except OSError:  # the other end is closed
            self.assertEqual(load.wait(30), 0, text)
        return text.decode()

    def test_a_terminal_gets_a_live_line_that_the_table_replaces(self):
        text = self.on_a_terminal('--seconds', '2.5')
        lines = re.findall(r'\r\x1b\[K +(\d+) s +\d+ IOPS  \S+ \w+/s  p99 \S+',
                           text)
        self.assertGreaterEqual(len(lines), 2, text)
        self.assertEqual(lines, sorted(lines, key=int))
        live, table = text.rsplit('\r\x1b[K', 1)
        self.assertNotIn('\n', live)
        self.assertRegex(table, r'(?m)^read +\d+ ')

    def test_the_man_page_names_everything_in_the_report(self):
        with open(os.path.join(TOP, 'man/forebay-bench.1.scd'),
                  encoding='utf-8') as page:
            described = set(re.findall(
                r'\*(\w+)\*', page.read().split('# REPORT')[1]))

        def names(value):
            for key, inner in value.items():
                yield key
                if isinstance(inner, dict):
                    yield from names(inner)
        result = self.report('--count', 100, '--verify', *WRITE)
        self.assertEqual(set(names(result)) - described, set())


class Refusals(unittest.TestCase):
    def test_wrong_flags_are_refused_in_one_line(self):
        for words, says in (
                ((), 'needs a DISK'),
                (('d', '--nbd', 'nbd://x'), 'one of them'),
                (('--nbd', 'x', '--depth', '0'), "--depth: '0' is not"),
                (('--nbd', 'x', '--depth', '1025'), '1 to 1024'),
                (('--nbd', 'x', '--queues', '65'), '1 to 64'),
                (('--nbd', 'x', '--read', '101'), '0 to 100'),
                (('--nbd', 'x', '--read', '1.5'), 'whole number'),
                (('--nbd', 'x', '--flush', '60', '--discard', '60'),
                 'more than 100'),
                (('--nbd', 'x', '--block-size', '1000'), 'multiple of 512'),
                (('--nbd', 'x', '--block-size', '8MiB'), '4MiB'),
                (('--nbd', 'x', '--pattern', 'zipf:0'), 'THETA'),
                (('--nbd', 'x', '--pattern', 'hot'), 'uniform'),
                (('--nbd', 'x', '--notify', 'x'), 'interrupt or poll'),
                (('--nbd', 'x', '--packed'), 'no virtqueues'),
                (('--nbd', 'x', '--rate', '0'), '--rate'),
                (('--nbd', 'x', '--seconds', '-1'), '--seconds'),
                (('--nbd', 'x', '--seconds', '0'), '--journal'),
                (('--nbd', 'x', '--span', '0'), '--span'),
                (('--nbd', 'x', '--offset', '5'), 'multiple of 512')):
            done = bench(*words)
            with self.subTest(words):
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(done.stderr.count('\n'), 1)
                self.assertIn(says, done.stderr)

    def test_nothing_is_written_without_consent(self):
        server = Nbdkit(self)
        for words in (('--read', 99), ('--discard', 1),
                      ('--write-zeroes', 1)):
            done = bench(*server.target, '--count', 100, *words)
            self.assertEqual(done.returncode, 2)
            self.assertIn('--destroy-data', done.stderr)
        with open(server.image, 'rb') as file:
            self.assertEqual(file.read().count(0), DISK_BYTES)

    def test_a_server_that_is_not_there_has_its_own_exit_status(self):
        for words in (('--vhost-user', '/tmp/no/such'),
                      ('--nbd', 'nbd+unix:///?socket=/tmp/no/such')):
            done = bench(*words)
            self.assertEqual((done.returncode, done.stderr.count('\n')),
                             (5, 1), done.stderr)

    def test_an_interrupt_does_not_disturb_the_greeting(self):
        loads = []

        def answer_late(connection):
            connection.recv(12)

            def asleep():
                path = f'/proc/{loads[0].pid}/stat' if loads else '/dev/null'
                with open(path, encoding='utf-8') as file:
                    return ') S ' in file.read()
            spawn.wait_until(asleep, 30, 'it waits for the answer')
            loads[0].send_signal(signal.SIGINT)
            for kind, answer in ((1, 1 << 30 | 1 << 32), (15, 1 << 3)):
                connection.send(struct.pack('<3IQ', kind, 5, 8, answer))
        path = self.listen(socket.SOCK_STREAM, answer_late)
        loads.append(subprocess.Popen(
            [FOREBAY, 'bench', '--vhost-user', path], text=True,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            preexec_fn=spawn.die_with_parent))
        self.addCleanup(loads[0].kill)
        self.assertIn('no vhost-user-blk one',
                      loads[0].communicate(timeout=60)[1])

    def listen(self, kind, talk):
        """A socket of @kind; @talk gets the first connection."""
        path = os.path.join(spawn.folder(self), 's')
        listener = socket.socket(socket.AF_UNIX, kind)
        self.addCleanup(listener.close)
        listener.bind(path)
        listener.listen()

        def serve():
            connection = listener.accept()[0]
            self.addCleanup(connection.close)
            talk(connection)
        threading.Thread(target=serve, daemon=True).start()
        return path

    def assert_says(self, done, code, words):
        self.assertEqual((done.returncode, done.stderr.count('\n')),
                         (code, 1), done.stderr)
        self.assertIn(words, done.stderr)

    def test_an_nbd_socket_is_no_vhost_user_device(self):
        self.assert_says(bench('--vhost-user', Nbdkit(self).socket), 1,
                         "doesn't speak vhost-user")

    def test_a_socket_of_packets_is_no_vhost_user_device(self):
        path = self.listen(socket.SOCK_SEQPACKET, lambda _: None)
        self.assert_says(bench('--vhost-user', path), 1,
                         "doesn't speak vhost-user")

    def test_a_socket_that_hangs_up_says_so(self):
        path = self.listen(socket.SOCK_STREAM,
                           lambda connection: connection.close())
        self.assert_says(bench('--vhost-user', path), 5, 'hung up')

    def test_a_socket_that_never_answers_is_left_after_ten_seconds(self):
        path = self.listen(socket.SOCK_STREAM, lambda _: None)
        self.assert_says(bench('--vhost-user', path), 6, 'no answer')
        path = self.listen(socket.SOCK_STREAM, lambda _: None)
        self.assert_says(bench('--nbd', f'nbd+unix:///?socket={path}'), 6,
                         'no answer')

    def test_a_vhost_user_device_of_another_kind_is_refused(self):
        def no_block_device(connection):
            """Has protocol features, none of them a configuration."""
            for answer in (1 << 30 | 1 << 32, 1 << 3):
                kind = struct.unpack('<3I', connection.recv(12))[0]
                connection.send(struct.pack('<3IQ', kind, 5, 8, answer))
        path = self.listen(socket.SOCK_STREAM, no_block_device)
        self.assert_says(bench('--vhost-user', path), 1,
                         'no vhost-user-blk one')

    def test_a_file_is_no_socket(self):
        server = Nbdkit(self)
        self.assert_says(bench('--vhost-user', server.image), 5,
                         'nobody listens')

    def test_more_than_the_disk_has_is_refused(self):
        server = Nbdkit(self)
        done = bench(*server.target, '--span', '17MiB')
        self.assertEqual(done.returncode, 2)
        self.assertIn('beyond its end', done.stderr)

    def test_what_a_read_only_disk_cannot_do_is_refused(self):
        server = Nbdkit(self, '-r')
        done = bench(*server.target, *WRITE)
        self.assertEqual(done.returncode, 1)
        self.assertIn('takes no writes', done.stderr)


class Verify(unittest.TestCase):
    def setUp(self):
        self.server = Nbdkit(self)
        self.journal = os.path.join(self.server.root, 'journal')

    def write(self, *words):
        report(self, self.server, '--pattern', 'sequential', '--count', 64,
               '--span', '256KiB', '--journal', self.journal, *WRITE, *words)

    def assert_wrong(self, sector, expected, found):
        done = bench(*self.server.target, '--seconds', 0, '--span', '256KiB',
                     '--journal', self.journal, '-o', 'json')
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(
            json.loads(done.stdout)['verify']['first_wrong'],
            {'sector': sector, 'expected': expected, 'found': found})
        self.assertIn(f'sector {sector}: expected {expected}, found {found}',
                      done.stderr)

    def patch(self, offset, data):
        with open(self.server.image, 'r+b') as file:
            file.seek(offset)
            old = file.read(len(data))
            file.seek(offset)
            file.write(data)
        return old

    def test_a_later_run_finds_what_was_acknowledged(self):
        self.write()
        self.server.kill()
        result = report(self, self.server, '--seconds', 0, '--span', '256KiB',
                        '--journal', self.journal)
        self.assertEqual(result['verify']['read_back_blocks'], 64)

    def test_a_flipped_byte_is_found(self):
        self.write()
        self.patch(17 * 512 + 300, b'\x00')
        self.patch(17 * 512 + 301, b'\xff')
        self.assert_wrong(17, 'sequence 1', 'damaged sequence 1')

    def test_a_lost_write_is_found(self):
        self.write()
        self.patch(40 * 512, bytes(512))
        self.assert_wrong(40, 'sequence 1', 'zeroes')

    def test_a_stale_sector_is_found(self):
        self.write()
        with open(self.server.image, 'rb') as file:
            old = file.read(512)
        self.write()
        self.patch(0, old)
        self.assert_wrong(0, 'sequence 2', 'sequence 1')

    def test_a_misplaced_sector_is_found(self):
        self.write()
        with open(self.server.image, 'rb') as file:
            other = file.read(512)
        self.patch(9 * 512, other)
        self.assert_wrong(9, 'sequence 1', 'sequence 1 of sector 0')

    def test_a_load_that_is_interrupted_reads_back_all_the_same(self):
        load = subprocess.Popen(
            [FOREBAY, 'bench', *self.server.target, '--journal', self.journal,
             '-o', 'json', '--seconds', '600', *map(str, WRITE)],
            stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
            preexec_fn=spawn.die_with_parent)
        self.addCleanup(load.kill)

        def written():
            with open(self.server.image, 'rb') as file:
                return file.read(MIB).count(0) < MIB
        spawn.wait_until(written, 30, 'the first write')
        load.send_signal(signal.SIGINT)
        result = json.loads(load.communicate(timeout=60)[0])
        self.assertEqual(load.returncode, 0)
        self.assertGreater(result['verify']['read_back_blocks'], 0)
        self.assertLess(result['seconds'], 600)

    def test_an_interrupted_load_waits_for_a_server_to_read_back_from(self):
        load = subprocess.Popen(
            [FOREBAY, 'bench', *self.server.target, '--journal', self.journal,
             '-o', 'json', '--seconds', '600', '--reconnect', '60',
             *map(str, WRITE)], stdout=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL, preexec_fn=spawn.die_with_parent)
        self.addCleanup(load.kill)

        def written():
            with open(self.server.image, 'rb') as file:
                return file.read(MIB).count(0) < MIB
        spawn.wait_until(written, 30, 'the first write')
        self.server.process.kill()
        load.send_signal(signal.SIGINT)
        with self.assertRaises(subprocess.TimeoutExpired):
            load.wait(.5)
        self.server.start()
        result = json.loads(load.communicate(timeout=60)[0])
        self.assertEqual(load.returncode, 0)
        self.assertGreater(result['verify']['read_back_blocks'], 0)

    def test_a_killed_bench_leaves_a_journal_that_is_right(self):
        # With several threads nbdkit 1.32 may abort when a client is killed:
        # one closes the socket under another (raw_send_socket: sock >= 0).
        self.server = Nbdkit(self, '--threads', '1')
        for _ in range(3):
            load = subprocess.Popen(
                [FOREBAY, 'bench', *self.server.target, '--depth', '8',
                 '--read', '0', '--destroy-data', '--journal', self.journal],
                stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                preexec_fn=spawn.die_with_parent)
            self.addCleanup(load.kill)
            spawn.wait_until(lambda: os.path.exists(self.journal), 30,
                             'a journal')
            try:
                load.wait(.4)
            except subprocess.TimeoutExpired:
                pass
            load.kill()
            load.wait(30)
        done = bench(*self.server.target, '--seconds', 0, '--journal',
                     self.journal)
        self.assertEqual(done.returncode, 0, done.stderr)


class Kills(unittest.TestCase):
    """The server is killed and another takes over, again and again."""

    def run_kills(self, server, kill):
        load = subprocess.Popen(
            [FOREBAY, 'bench', *server.target, '-o', 'json', '--depth', '8',
             '--queues', '2', '--read', '30', '--flush', '3',
             '--write-zeroes', '3', '--verify', '--destroy-data',
             '--seconds', '2', '--reconnect', '60'], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, preexec_fn=spawn.die_with_parent)
        self.addCleanup(load.kill)
        for _ in range(4):
            try:
                load.wait(.3)
            except subprocess.TimeoutExpired:
                kill()
        text, errors = load.communicate(timeout=120)
        self.assertEqual(load.returncode, 0, errors + text)
        result = json.loads(text)
        self.assertGreater(result['reconnects'], 0)
        self.assertGreater(result['verify']['read_back_blocks'], 0)

    def test_nbd_servers_lose_nothing(self):
        server = Nbdkit(self)
        self.run_kills(server, server.kill)

    def test_a_vhost_user_server_without_in_flight_region_loses_nothing(self):
        server = Qsd(self)
        self.run_kills(server, server.kill)

    def test_forebay_disk_loses_nothing(self):
        root = spawn.folder(self)
        image = os.path.join(root, 'image')
        with open(image, 'wb') as file:
            file.truncate(DISK_BYTES)
        disk = targets.Disk(BUILD, root, image, 'd').start()
        self.addCleanup(disk.stop)
        disk.target = ['--vhost-user', disk.socket]

        def kill():
            disk.processes.pop().kill()
            os.unlink(disk.socket)
            disk.start()
        self.run_kills(disk, kill)

    def test_a_server_that_comes_later_is_waited_for(self):
        server = Nbdkit(self)
        server.process.kill()
        os.unlink(server.socket)
        load = subprocess.Popen([FOREBAY, 'bench', *server.target, '--count',
                                 '10', '--reconnect', '60'],
                                stdout=subprocess.DEVNULL,
                                preexec_fn=spawn.die_with_parent)
        self.addCleanup(load.kill)
        with self.assertRaises(subprocess.TimeoutExpired):
            load.wait(.3)
        server.start()
        self.assertEqual(load.wait(60), 0)

    def test_without_reconnect_the_load_ends_and_says_so(self):
        server = Nbdkit(self)
        load = subprocess.Popen([FOREBAY, 'bench', *server.target],
                                stderr=subprocess.PIPE, text=True,
                                stdout=subprocess.DEVNULL,
                                preexec_fn=spawn.die_with_parent)
        self.addCleanup(load.kill)
        try:
            load.wait(.5)
        except subprocess.TimeoutExpired:
            server.process.kill()
        _, errors = load.communicate(timeout=60)
        self.assertEqual(load.returncode, 1)
        self.assertIn('--reconnect', errors)


class Packed(unittest.TestCase):
    def test_packed_virtqueues_are_used_or_refused(self):
        done = bench(*Qsd(self).target, '--packed', '--count', 100)
        self.assertEqual(done.returncode, 1)
        self.assertIn('packed', done.stderr)


class ManPage(unittest.TestCase):
    def test_the_examples_of_the_man_page_work(self):
        server = Nbdkit(self)
        with open(os.path.join(TOP, 'man/forebay-bench.1.scd'),
                  encoding='utf-8') as page:
            lines = re.findall(r'(?m)^forebay bench --nbd .*$', page.read())
        self.assertEqual(len(lines), 2)
        for line in lines:
            done = subprocess.run(
                ['bash', '-c', line.replace('forebay', FOREBAY, 1)],
                env={**os.environ, 'uri': server.target[1]}, timeout=60,
                cwd=server.root, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, line + done.stderr)

    def test_it_works_on_qemus_vhost_user_device(self):
        result = report(self, Qsd(self), '--count', 2000, '--depth', 8,
                        '--queues', 2, '--read', 50, '--destroy-data',
                        '--discard', 5, '--write-zeroes', 5, '--verify',
                        '--notify', 'poll')
        self.assertEqual(result['target']['protocol'], 'vhost-user-blk')
        self.assertEqual(result['errors'], 0)


if __name__ == '__main__':
    tap.main(at_once=4)
