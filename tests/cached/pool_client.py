# SPDX-License-Identifier: Apache-2.0
"""The cache filter's end of the channel to forebay-cached, for tests."""

import fcntl
import json
import mmap
import os
import socket
import struct
import sys
import time

MAGIC = 0x79614246
HELLO, KEEP, KEPT, FILTER = 1, 2, 3, 4
OPEN, GRANT, REFUSE, USE, MAY, BYE = 1, 2, 3, 4, 5, 6
VERSION = 2
MIB = 1 << 20


class Grant:
    def __init__(self, fd, file_bytes, granted_bytes):
        self.fd = fd
        self.file_bytes = file_bytes
        self.granted_bytes = granted_bytes

    def try_lock(self):
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False

    def close(self):
        os.close(self.fd)


class Refused(Exception):
    def __init__(self, errno, message):
        super().__init__(message)
        self.errno = errno


class Disconnected(Exception):
    pass


class Client:
    """One instance of the cache filter on disk @uuid (bytes)."""

    def __init__(self, path, uuid, version=1):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(15)
        self.socket.connect(path)
        self.send(HELLO, struct.pack('<II32s16s', version, 0, b'cache', uuid))

    def close(self):
        self.socket.close()

    def send(self, kind, payload):
        self.socket.send(
            struct.pack('<IIII', MAGIC, kind, len(payload), 0) + payload)

    def receive(self):
        try:
            packet, fds, _, _ = socket.recv_fds(self.socket, 65536, 8)
        except ConnectionResetError:
            packet = b''
        if not packet:
            raise Disconnected
        magic, kind, count, zero = struct.unpack_from('<IIII', packet)
        assert (magic, zero, count) == (MAGIC, 0, len(packet) - 16)
        return kind, packet[16:], fds

    @staticmethod
    def open_message(limit=64 * MIB, pool='', size=1 << 30, version=VERSION,
                     reservation=0):
        return struct.pack('<IIQQQ64s', OPEN, version, size, limit,
                           reservation, pool.encode())

    def answer(self):
        """The next message of the pool protocol: (type, payload, fds)."""
        kind, payload, fds = self.receive()
        assert kind == FILTER
        return struct.unpack_from('<I', payload)[0], payload, fds

    def open(self, **wishes):
        self.send(FILTER, self.open_message(**wishes))
        answer, payload, fds = self.answer()
        while answer == MAY:
            answer, payload, fds = self.answer()
        if answer == REFUSE:
            assert not fds
            errno, text = struct.unpack_from('<i512s', payload, 4)
            raise Refused(-errno, text.split(b'\0')[0].decode())
        file_bytes, granted = struct.unpack_from('<QQ', payload, 8)
        assert answer == GRANT and len(fds) == 1
        return Grant(fds[0], file_bytes, granted)

    def use(self, granted, use=0, limit=64 * MIB, reservation=0, used=2 * MIB):
        self.send(FILTER, struct.pack('<IIQQQQQ', USE, VERSION, limit,
                                      reservation, granted, used, use))

    def may(self):
        """Waits for a MAY. Returns: (granted bytes, reserved bytes)."""
        answer, payload, fds = self.answer()
        assert answer == MAY and not fds
        return struct.unpack_from('<QQ', payload, 8)

    def bye(self):
        self.send(FILTER, struct.pack('<II', BYE, VERSION))
        answer, _, _ = self.answer()
        while answer == MAY:
            answer, _, _ = self.answer()
        assert answer == BYE

    def keep(self, name, count):
        self.send(KEEP, struct.pack('<Q32s', count, name.encode()))
        kind, payload, fds = self.receive()
        kept, text, status, _ = struct.unpack('<Q32siI', payload)
        assert kind == KEPT and kept == count
        assert text.split(b'\0')[0].decode() == name
        if status < 0:
            raise Refused(-status, 'keep')
        return mmap.mmap(fds[0], count)


def control(path, method, **params):
    """One call of a control method. Returns (result, error)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.settimeout(15)
        peer.connect(path)
        peer.send(json.dumps({'id': 1, 'method': method,
                              'params': params}).encode())
        answer = json.loads(peer.recv(65536))
        return answer.get('result'), answer.get('error')


def hold_and_write(path, uuid):
    """A forebay-disk in miniature: locks its file, then writes without end."""
    grant = Client(path, uuid).open()
    while not grant.try_lock():
        time.sleep(0.005)
    buffer = mmap.mmap(-1, MIB)
    print('locked', flush=True)
    while True:
        for offset in range(2 * MIB, grant.file_bytes, MIB):
            os.pwritev(grant.fd, [buffer], offset)


if __name__ == '__main__':
    hold_and_write(sys.argv[1], bytes.fromhex(sys.argv[2]))
