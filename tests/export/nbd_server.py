# SPDX-License-Identifier: Apache-2.0
"""The NBD server over memory, and a client that speaks the bare protocol."""

import json
import os
import select
import socket
import struct
import subprocess
import uuid

import spawn

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get('FOREBAY_BUILD', os.path.join(TOP, 'build'))
PROGRAM = os.path.join(BUILD, 'tests/export/nbd_memory_server')
DISK_PROGRAM = os.path.join(BUILD, 'src/disk/forebay-disk')
NULL_FILTER = os.path.join(BUILD, 'examples/null.so')

MIB = 1 << 20
SECONDS = 60

OPTION_MAGIC = 0x49484156454F5054
REPLY_MAGIC = 0x0003E889045565A9
REQUEST_MAGIC = 0x25609513
SIMPLE_MAGIC = 0x67446698

EXPORT_NAME, ABORT, LIST, STARTTLS, INFO, GO, STRUCTURED = 1, 2, 3, 5, 6, 7, 8
LIST_CONTEXT, SET_CONTEXT = 9, 10
ACK, REP_SERVER, REP_INFO, REP_CONTEXT = 1, 2, 3, 4
UNSUPPORTED, INVALID, UNKNOWN, TOO_BIG = (
    0x80000001, 0x80000003, 0x80000006, 0x80000009)
READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, ZEROES, STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST = 1, 2, 4, 8, 16
EPERM, EIO, EINVAL, ENOSPC, ENOTSUP = 1, 5, 22, 28, 95
ALLOCATION, DIRTY = 'base:allocation', 'forebay:dirty'
STRUCTURED_MAGIC = 0x668E33EF
# What is offered to write and to read only.
FLAGS, READ_ONLY_FLAGS, WITH_DF = 0xd6d, 0x50f, 0x80


class Server:
    """One nbd_memory_server; @words as on its command line."""

    def __init__(self, test, size_bytes, *words, path=None):
        self.path = path or os.path.join(spawn.folder(test), 's')
        self.popen = subprocess.Popen(
            [PROGRAM, self.path, str(size_bytes), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=spawn.die_with_parent)
        self.lines = b''
        test.addCleanup(self.end)
        self.expect('ready')

    @property
    def uri(self):
        return f'nbd+unix:///memory?socket={self.path}'

    def take_line(self):
        while b'\n' not in self.lines:
            ready, _, _ = select.select([self.popen.stdout], [], [], SECONDS)
            data = os.read(self.popen.stdout.fileno(), 65536) if ready else b''
            if not data:
                return ''
            self.lines += data
        line, _, self.lines = self.lines.partition(b'\n')
        return line.decode()

    def expect(self, word):
        line = self.take_line()
        if not line.startswith(word):
            raise RuntimeError(f'server said {line!r}, not {word}')
        return line[len(word):].strip()

    def tell(self, line):
        self.popen.stdin.write(line.encode() + b'\n')
        self.popen.stdin.flush()

    def ask(self, line, word):
        self.tell(line)
        return self.expect(word)

    def stats(self):
        return json.loads(self.ask('stats', 'stats'))

    def counts(self):
        return json.loads(self.ask('counts', 'counts'))

    def durable(self, offset, length):
        return self.ask(f'durable {offset} {length}', 'durable')

    def release(self, count):
        return int(self.ask(f'release {count}', 'released'))

    def wait_in_flight(self, count):
        spawn.wait_until(lambda: self.counts()['in_flight'] == count, SECONDS,
                         f'{count} requests in flight')

    def wait_no_clients(self):
        spawn.wait_until(lambda: self.stats()['connections'] == 0, SECONDS,
                         'no connection left')

    def end(self):
        """Stops in good order; returns the exit code."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        return self.popen.returncode


class Disk:
    """A forebay-disk over an image file, with a filter that does nothing."""

    def __init__(self, test, size_bytes):
        self.folder = spawn.folder(test)
        self.image = os.path.join(self.folder, 'image')
        self.path = os.path.join(self.folder, 'n')
        self.control = os.path.join(self.folder, 'c')
        config = os.path.join(self.folder, 'config.json')
        with open(self.image, 'wb') as file:
            file.truncate(size_bytes)
        with open(config, 'w', encoding='utf-8') as file:
            json.dump({
                'uuid': str(uuid.uuid4()), 'name': 'memory',
                'size_bytes': size_bytes, 'backend': 'file:' + self.image,
                'filters': [{'name': 'null', 'library': NULL_FILTER}],
                'exports': {'nbd': {'socket': self.path, 'name': 'memory'}},
                'control_socket': self.control}, file)
        self.process = spawn.Process([DISK_PROGRAM, '--config', config],
                                     os.path.join(self.folder, 'log'))
        test.addCleanup(self.process.stop)
        self.process.wait_for_file(self.path)

    @property
    def uri(self):
        return f'nbd+unix:///memory?socket={self.path}'

    def call(self, method):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.settimeout(SECONDS)
            peer.connect(self.control)
            peer.send(json.dumps({'id': 1, 'method': method,
                                  'params': {}}).encode())
            return json.loads(peer.recv(1 << 20))['result']

    def stats(self):
        return self.call('stats')['exports']['nbd']

    def counts(self):
        requests = self.call('stats')['requests']
        return {name: requests[name]['count'] for name in requests}

    def wait_no_clients(self):
        spawn.wait_until(lambda: self.stats()['connections'] == 0, SECONDS,
                         'no connection left')

    def end(self):
        return self.process.stop()


def option_bytes(option, data=b''):
    return struct.pack('>QII', OPTION_MAGIC, option, len(data)) + data


def info_bytes(name=b'', kinds=()):
    return (struct.pack('>I', len(name)) + name +
            struct.pack(f'>H{len(kinds)}H', len(kinds), *kinds))


def context_bytes(*queries, name=b'memory'):
    data = struct.pack('>I', len(name)) + name
    data += struct.pack('>I', len(queries))
    for query in queries:
        data += struct.pack('>I', len(query)) + query.encode()
    return data


def request_bytes(command, cookie, offset=0, length=0, flags=0):
    return struct.pack('>IHHQQI', REQUEST_MAGIC, flags, command, cookie,
                       offset, length)


class Raw:
    """A client that sends whatever a test wants."""

    def __init__(self, test, server, client_flags=3):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        test.addCleanup(self.socket.close)
        self.socket.settimeout(SECONDS)
        self.socket.connect(server.path)
        self.greeting = self.take(18)
        if client_flags is not None:
            self.send(struct.pack('>I', client_flags))

    def send(self, data):
        self.socket.sendall(data)

    def take(self, count):
        data = bytearray(count)
        view = memoryview(data)
        while view:
            got = self.socket.recv_into(view)
            if got == 0:
                raise EOFError(f'{count - len(view)} of {count} bytes')
            view = view[got:]
        return bytes(data)

    def at_end(self):
        """Whether the server hangs up without another byte."""
        try:
            return self.socket.recv(1) == b''
        except ConnectionResetError:
            return True

    def option_reply(self):
        magic, option, kind, length = struct.unpack('>QIII', self.take(20))
        assert magic == REPLY_MAGIC
        return option, kind, self.take(length)

    def option(self, option, data=b''):
        """Sends an option; returns (kind, data) of each reply to it."""
        self.send(option_bytes(option, data))
        replies = []
        while True:
            answered, kind, data = self.option_reply()
            assert answered == option
            replies.append((kind, data))
            if kind == ACK or kind >= 1 << 31:
                return replies

    def go(self, name=b'memory'):
        replies = self.option(GO, info_bytes(name))
        assert replies[-1][0] == ACK, replies
        return self

    def select(self, *queries, name=b'memory'):
        """Negotiates contexts; returns {name: id} of those selected."""
        assert self.option(STRUCTURED) == [(ACK, b'')]
        replies = self.option(SET_CONTEXT, context_bytes(*queries, name=name))
        assert replies.pop() == (ACK, b''), replies
        assert all(kind == REP_CONTEXT for kind, _ in replies)
        return {data[4:].decode(): struct.unpack('>I', data[:4])[0]
                for _, data in replies}

    def request(self, command, cookie, offset=0, length=0, flags=0):
        self.send(request_bytes(command, cookie, offset, length, flags))

    def reply(self):
        """(cookie, error) of the next simple reply."""
        magic, error, cookie = struct.unpack('>IIQ', self.take(16))
        assert magic == SIMPLE_MAGIC, hex(magic)
        return cookie, error

    def chunk(self):
        """(flags, type, cookie, payload) of the next structured chunk."""
        magic, flags, kind, cookie, length = struct.unpack(
            '>IHHQI', self.take(20))
        assert magic == STRUCTURED_MAGIC, hex(magic)
        return flags, kind, cookie, self.take(length)

    def status(self, offset, length, flags=0):
        """{context id: [(length, status)]}, or the error of a refusal."""
        self.request(STATUS, 78, offset, length, flags)
        answer = {}
        while True:
            last, kind, cookie, payload = self.chunk()
            assert cookie == 78
            if kind & 0x8000:
                return struct.unpack('>I', payload[:4])[0]
            assert kind == 5
            numbers = struct.unpack(f'>{len(payload) // 4}I', payload)
            answer[numbers[0]] = list(zip(numbers[1::2], numbers[2::2]))
            if last:
                return answer

    def call(self, command, offset=0, length=0, flags=0, payload=b''):
        """One request and its reply: the error, data of a read dropped."""
        self.send(request_bytes(command, 77, offset, length, flags) + payload)
        cookie, error = self.reply()
        assert cookie == 77
        if command == READ and error == 0:
            self.take(length)
        return error
