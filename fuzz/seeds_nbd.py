# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_nbd into the folder that is named.

A seed is the byte that fuzz_nbd.c explains, then what a client sends.
"""

import os
import struct
import sys

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TOP, 'tests/export'),
                os.path.join(TOP, 'tests/lib')]

# pylint: disable=wrong-import-position
from nbd_server import (  # noqa: E402
    ABORT, ALLOCATION, CACHE, DIRTY, DISCONNECT, EXPORT_NAME, FAST, FLUSH, FUA,
    GO, INFO, LIST, LIST_CONTEXT, NO_HOLE, OPTION_MAGIC, READ, REQ_ONE,
    SET_CONTEXT, STARTTLS, STATUS, STRUCTURED, TRIM, WRITE, ZEROES,
    context_bytes, info_bytes, option_bytes, request_bytes)

BARE, HANDSHAKE, STRUCTURES = 0, 1, 3
READ_ONLY, REVERSED, LAZY = 4, 8, 128
BY_BYTE, BY_HEAD, BY_PAGE, AT_ONCE = 0 << 4, 3 << 4, 6 << 4, 7 << 4


def flags(value=3):
    return struct.pack('>I', value)


def write(cookie, offset, length, command_flags=0):
    return (request_bytes(WRITE, cookie, offset, length, command_flags) +
            bytes([cookie & 255]) * length)


SEEDS = {
    'options': (BARE | AT_ONCE, flags() + option_bytes(LIST) +
                option_bytes(STARTTLS) + option_bytes(STRUCTURED) +
                option_bytes(INFO, info_bytes(b'disk', (1, 2, 3))) +
                option_bytes(99, b'what') + option_bytes(ABORT)),
    'options-by-byte': (BARE | BY_BYTE, flags(1) + option_bytes(LIST) +
                        option_bytes(EXPORT_NAME, b'disk') +
                        request_bytes(DISCONNECT, 1)),
    'option-too-long': (BARE | AT_ONCE, flags() +
                        struct.pack('>QII', OPTION_MAGIC, GO, 9000) +
                        bytes(9000) + option_bytes(ABORT)),
    'unknown-export': (BARE | AT_ONCE, flags() +
                       option_bytes(GO, info_bytes(b'other'))),
    'contexts': (BARE | AT_ONCE, flags() +
                 option_bytes(SET_CONTEXT, context_bytes(ALLOCATION)) +
                 option_bytes(STRUCTURED) +
                 option_bytes(LIST_CONTEXT, context_bytes(name=b'')) +
                 option_bytes(LIST_CONTEXT,
                              context_bytes('base:', 'forebay:', 'x:',
                                            name=b'disk-ro')) +
                 option_bytes(SET_CONTEXT,
                              context_bytes(DIRTY, ALLOCATION, name=b'disk')) +
                 option_bytes(GO, info_bytes(b'disk')) +
                 request_bytes(STATUS, 1, 0, 262144)),
    'contexts-broken': (BARE | BY_BYTE, flags() + option_bytes(STRUCTURED) +
                        option_bytes(SET_CONTEXT, context_bytes('nothing')) +
                        option_bytes(SET_CONTEXT, b'\0\0\0\4') +
                        option_bytes(SET_CONTEXT,
                                     context_bytes(*['a:b'] * 65)) +
                        option_bytes(LIST_CONTEXT,
                                     context_bytes(name=b'other')) +
                        option_bytes(ABORT)),
    'read-only-name': (BARE | AT_ONCE, flags() +
                       option_bytes(GO, info_bytes(b'disk-ro', (1,))) +
                       write(1, 0, 512) + request_bytes(TRIM, 2, 0, 512) +
                       request_bytes(ZEROES, 3, 0, 512) +
                       request_bytes(READ, 4, 0, 512)),
    'status': (STRUCTURES | REVERSED | AT_ONCE, write(1, 8192, 4096, FUA) +
               write(2, 16384, 512) + request_bytes(STATUS, 3, 0, 262144) +
               request_bytes(STATUS, 4, 4096, 65536, REQ_ONE) +
               request_bytes(STATUS, 5, 512, 0) +
               request_bytes(STATUS, 6, 262144, 512, NO_HOLE)),
    'hints': (STRUCTURES | AT_ONCE, request_bytes(CACHE, 1, 0, 262144) +
              request_bytes(ZEROES, 2, 0, 262144, FAST | NO_HOLE | FUA) +
              request_bytes(TRIM, 3, 0, 262144, FUA)),
    'read': (HANDSHAKE | AT_ONCE, request_bytes(READ, 1, 512, 4096) +
             request_bytes(DISCONNECT, 2)),
    'read-structured': (STRUCTURES | BY_HEAD,
                        request_bytes(READ, 1, 0, 65536, 4) +
                        request_bytes(READ, 2, 1 << 40, 512)),
    'write': (HANDSHAKE | REVERSED | BY_PAGE, write(1, 0, 4096) +
              write(2, 4096, 512, FUA) + request_bytes(FLUSH, 3)),
    'write-long': (HANDSHAKE | BY_PAGE, write(1, 0, 20480) +
                   request_bytes(READ, 2, 0, 20480)),
    'write-read-only': (HANDSHAKE | READ_ONLY | BY_BYTE, write(1, 0, 512) +
                        request_bytes(TRIM, 2, 0, 512)),
    'write-beyond': (HANDSHAKE | AT_ONCE, write(1, 1 << 40, 512) +
                     request_bytes(READ, 2, 0, 512)),
    'write-cut-off': (HANDSHAKE | AT_ONCE, write(1, 0, 4096)[:-1]),
    'no-data': (HANDSHAKE | REVERSED | AT_ONCE,
                request_bytes(TRIM, 1, 0, 4096) +
                request_bytes(ZEROES, 2, 0, 65536, 2 | FUA) +
                request_bytes(7, 3, 0, 512)),
    'many-reads': (HANDSHAKE | REVERSED | AT_ONCE,
                   b''.join(request_bytes(READ, i, 0, 131072)
                            for i in range(70))),
    'lazy': (HANDSHAKE | LAZY | AT_ONCE,
             b''.join(request_bytes(READ, i, 0, 262144) for i in range(8))),
    'mix': (STRUCTURES | REVERSED | AT_ONCE,
            b''.join(write(i, i * 512, 512 * (i + 1)) +
                     request_bytes(READ, i + 100, 0, 512)
                     for i in range(6))),
    'wrong-magic': (HANDSHAKE | AT_ONCE, bytes(28)),
}


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name, (how, stream) in SEEDS.items():
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(bytes([how]) + stream)


if __name__ == '__main__':
    main()
