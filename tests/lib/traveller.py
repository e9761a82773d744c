# SPDX-License-Identifier: Apache-2.0
"""A VMM that does no I/O, whose VM leaves a disk and comes back.

The messages are those that QEMU sends around a live migration that fails at
the very end: pages are logged, the queue stops, which hands the disk over, and
starts again.
"""

import os
import socket
import struct

SECONDS = 30
QUEUE_SIZE = 8
MEMORY_BYTES = 1 << 20
MEMORY_AT = 0x10000000  # where the VMM says that it has it
SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL = 12, 13
SET_PROTOCOL_FEATURES, SET_VRING_ENABLE = 16, 18
VERSION = 1
VERSION_1, PROTOCOL_FEATURES, LOG_ALL = 1 << 32, 1 << 30, 1 << 26


class Traveller:
    """One connection, one queue."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(path)
        self.base = 0
        self.kick = os.eventfd(0)
        self.call = os.eventfd(0)
        self.memory = os.memfd_create('guest')
        os.ftruncate(self.memory, MEMORY_BYTES)

    def send(self, request, payload=b'', fds=()):
        socket.send_fds(self.socket, [struct.pack(
            '<III', request, VERSION, len(payload)) + payload], fds)

    def begin(self):
        """The device is set up, and its pages are logged."""
        self.send(SET_OWNER)
        self.send(SET_FEATURES, struct.pack(
            '<Q', VERSION_1 | PROTOCOL_FEATURES))
        self.send(SET_PROTOCOL_FEATURES, struct.pack('<Q', 0))
        self.send(SET_MEM_TABLE, struct.pack(
            '<IIQQQQ', 1, 0, 0, MEMORY_BYTES, MEMORY_AT, 0), [self.memory])

    def run(self):
        """Starts the queue."""
        self.send(SET_VRING_NUM, struct.pack('<II', 0, QUEUE_SIZE))
        self.send(SET_VRING_BASE, struct.pack('<II', 0, self.base))
        self.send(SET_VRING_ADDR, struct.pack(
            '<IIQQQQ', 0, 0, MEMORY_AT, MEMORY_AT + 8192, MEMORY_AT + 4096,
            0))
        self.send(SET_VRING_CALL, struct.pack('<Q', 0), [self.call])
        self.send(SET_VRING_KICK, struct.pack('<Q', 0), [self.kick])
        self.send(SET_VRING_ENABLE, struct.pack('<II', 0, 1))

    def leave(self):
        """Returns when the disk is handed over."""
        self.send(SET_FEATURES, struct.pack(
            '<Q', VERSION_1 | PROTOCOL_FEATURES | LOG_ALL))
        self.stop()

    def stop(self):
        """Returns when the queue has stopped."""
        self.send(GET_VRING_BASE, struct.pack('<II', 0, 0))
        answer = b''
        while len(answer) < 20:
            got = self.socket.recv(20 - len(answer))
            if not got:
                raise ConnectionResetError('the device is gone')
            answer += got
        self.base = struct.unpack_from('<I', answer, 16)[0]

    def come_back(self):
        """The migration has failed."""
        self.send(SET_FEATURES, struct.pack(
            '<Q', VERSION_1 | PROTOCOL_FEATURES))
        self.run()

    def close(self):
        self.socket.close()
        for fd in (self.kick, self.call, self.memory):
            os.close(fd)
