# SPDX-License-Identifier: Apache-2.0
"""An NBD server whose every byte a test decides.

`Server` is honest: simple replies, one thread a connection, data in memory.
A test replaces what it wants to be otherwise: reply(), size, flags, late().
"""

import os
import socket
import struct
import threading
import time

READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZERO, STATUS = range(8)
FLAGS = 0x1 | 0x4 | 0x8 # has flags, flush, FUA
REQUEST = struct.Struct('>IHHQQI')
REQUEST_MAGIC = 0x25609513
SIMPLE_MAGIC = 0x67446698
STRUCTURED_MAGIC = 0x668e33ef


def simple(cookie, error=0, data=b''):
    return struct.pack('>IIQ', SIMPLE_MAGIC, error, cookie) + data


def chunk(cookie, kind, payload, done=True, length=None):
    return struct.pack('>IHHQI', STRUCTURED_MAGIC, 1 if done else 0, kind,
                       cookie, len(payload) if length is None else length
                       ) + payload


class Server:
    """Listens on a unix socket in @folder until the test ends."""

    def __init__(self, test, folder, size, structured=False):
        self.size = size
        self.flags = FLAGS
        self.structured = structured
        self.data = bytearray(size)
        self.connections = []
        self.requests = []
        self.lock = threading.Lock()
        self.socket = os.path.join(folder, 'own.sock')
        self.uri = 'nbd+unix:///?socket=' + self.socket
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.socket)
        self.listener.listen(16)
        test.addCleanup(self.close)
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()
        self.cut()

    def cut(self):
        """Every connection breaks, and what came over them goes on."""
        with self.lock:
            connections, self.connections = self.connections, []
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections.append(connection)
            threading.Thread(target=self.serve, args=[connection],
                             daemon=True).start()

    @staticmethod
    def take(connection, count):
        data = b''
        while len(data) < count:
            more = connection.recv(count - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def serve(self, connection):
        try:
            if self.handshake(connection):
                while self.request(connection):
                    pass
        except OSError:
            pass
        connection.close()

    def handshake(self, connection):
        connection.sendall(b'NBDMAGICIHAVEOPT' + struct.pack('>H', 3))
        self.take(connection, 4)
        while True:
            _, option, length = struct.unpack('>QII',
                                              self.take(connection, 16))
            self.take(connection, length)
            if not self.option(connection, option):
                return option in (1, 7)

    @staticmethod
    def answer(connection, option, kind, data=b''):
        connection.sendall(struct.pack('>QIII', 0x3e889045565a9, option, kind,
                                       len(data)) + data)

    def option(self, connection, option):
        """Returns: whether there is more to negotiate."""
        if option == 7: # GO
            self.answer(connection, option, 3,
                        struct.pack('>HQH', 0, self.size, self.flags))
            self.answer(connection, option, 1)
            return False
        if option == 8 and self.structured:
            self.answer(connection, option, 1)
        elif option == 10 and self.structured:
            self.answer(connection, option, 4,
                        struct.pack('>I', 1) + b'base:allocation')
            self.answer(connection, option, 1)
        else:
            self.answer(connection, option, 0x80000001)
        return True

    def request(self, connection):
        magic, flags, kind, cookie, offset, length = REQUEST.unpack(
            self.take(connection, REQUEST.size))
        assert magic == REQUEST_MAGIC
        data = self.take(connection, length) if kind == WRITE else b''
        if kind == DISC:
            return False
        self.requests.append((kind, flags, offset, length))
        self.late(kind, offset, data)
        return self.reply(connection, kind, cookie, offset, length, data)

    def late(self, kind, offset, data):
        """Called between a request and what it does."""

    def apply(self, kind, offset, data):
        if kind == WRITE:
            self.data[offset:offset + len(data)] = data

    def reply(self, connection, kind, cookie, offset, length, data):
        self.apply(kind, offset, data)
        found = bytes(self.data[offset:offset + length]) \
            if kind == READ else b''
        if self.structured and kind == READ:
            connection.sendall(chunk(cookie, 1,
                                     struct.pack('>Q', offset) + found))
        else:
            connection.sendall(simple(cookie, 0, found))
        return True


class LateServer(Server):
    """A write that starts with b'LATE' is carried out after @seconds."""

    def __init__(self, test, folder, size, seconds):
        super().__init__(test, folder, size)
        self.seconds = seconds
        self.writes = []
        self.held = threading.Event()

    def late(self, kind, offset, data):
        if kind == WRITE and data.startswith(b'LATE') \
                and not self.held.is_set():
            self.held.set()
            time.sleep(self.seconds)

    def apply(self, kind, offset, data):
        if kind == WRITE:
            self.writes.append((time.monotonic(), offset, bytes(data)))
        super().apply(kind, offset, data)
