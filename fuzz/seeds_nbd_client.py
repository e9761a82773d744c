# SPDX-License-Identifier: Apache-2.0
"""Writes seeds for the fuzz target nbd_client: fuzz/seeds_nbd_client.py FOLDER

The commands of the first connection have the cookies 1, 2, ... in the order of
the target's operations.
"""

import os
import struct
import sys

SHAKEN, STRUCTURED, SEVERAL = 1, 2, 4
ALL = 7 << 4


def simple(cookie, error=0, data=b''):
    return struct.pack('>IIQ', 0x67446698, error, cookie) + data


def chunk(cookie, kind, payload, done=1, length=None):
    return struct.pack('>IHHQI', 0x668e33ef, done, kind, cookie,
                       len(payload) if length is None else length) + payload


def at(offset, data):
    return struct.pack('>Q', offset) + data


SEEDS = {
    'simple-replies': (SHAKEN, simple(1, 0, bytes(4096)) + simple(2)
                       + simple(3, 5) + simple(4, 28)),
    'structured-replies': (
        SHAKEN | STRUCTURED,
        chunk(1, 1, at(0, bytes(1024)), 0)
        + chunk(1, 2, struct.pack('>QI', 1024, 3072)) + simple(2)
        + chunk(3, 0x8002, struct.pack('>IHQ', 5, 0, 4096))
        + chunk(4, 5, struct.pack('>IIIII', 1, 2048, 0, 2048, 3))),
    'several': (SHAKEN | STRUCTURED | SEVERAL, chunk(1, 0, b'')),
    'wrong-cookie': (SHAKEN, simple(77, 0, bytes(4096))),
    'twice': (SHAKEN, simple(2) + simple(2)),
    'shutdown': (SHAKEN, simple(1, 108)),
    'too-long': (SHAKEN | STRUCTURED, chunk(1, 1, at(0, bytes(8192)))),
    'outside': (SHAKEN | STRUCTURED, chunk(1, 1, at(1 << 40, bytes(512)))),
    'length-4gib': (SHAKEN | STRUCTURED, chunk(1, 1, b'', length=0xffffffff)),
    'hole-too-long': (SHAKEN | STRUCTURED, chunk(
        1, 2, struct.pack('>QI', 0, 0xffffffff))),
    'error-words': (SHAKEN | STRUCTURED, chunk(
        1, 0x8001, struct.pack('>IH', 5, 0xffff))),
    'status-odd': (SHAKEN | STRUCTURED, chunk(4, 5, bytes(13))),
    'greeting': (0, b'NBDMAGICIHAVEOPT\0\3'),
    'oldstyle': (0, b'NBDMAGIC' + struct.pack('>QQI', 0x420281861253, 1 << 20,
                                              1) + bytes(124)),
    'option-reply-long': (0, b'NBDMAGICIHAVEOPT\0\3' + struct.pack(
        '>QIII', 0x3e889045565a9, 8, 1, 0xffffffff)),
}

for name, (how, data) in SEEDS.items():
    with open(os.path.join(sys.argv[1], name), 'wb') as file:
        file.write(bytes([how | ALL]) + data)
