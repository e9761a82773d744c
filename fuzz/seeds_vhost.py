# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_vhost into the folder that is named.

A seed is what fuzz_vhost.c explains: two bytes, messages, guest memory.
"""

import os
import struct
import sys

GOOD, INFLIGHT, PLAIN, READ_ONLY = 1, 2, 4, 8
REVERSED, PACKED, LOG = 16, 32, 64
NEXT, WRITE, INDIRECT = 1, 2, 4
READ, WRITES, FLUSH, GET_ID = 0, 1, 4, 8
NEED_REPLY = 16
ONE_MEMORY, ONE_EVENT = 1, 1 | 1 << 2
HEADER, DATA, STATUS, TABLE = 0x1000, 0x2000, 0x1800, 0x1c00
USER = 0x700000000000


def descriptor(address, length, flags=0, following=0):
    return struct.pack('<QIHH', address, length, flags, following)


def memory(*parts):
    """Places (offset, bytes) parts into one image."""
    image = bytearray(max(offset + len(part) for offset, part in parts))
    for offset, part in parts:
        image[offset:offset + len(part)] = part
    return bytes(image)


def header(kind, sector=0):
    return struct.pack('<IIQ', kind, 0, sector)


def available(*heads):
    return struct.pack(f'<HH{len(heads)}H', 0, len(heads), *heads)


def chain(kind, data, length, first=0):
    flags = NEXT | (0 if kind == WRITES else WRITE)
    return (descriptor(HEADER, 16, NEXT, first + 1) +
            descriptor(data, length, flags, first + 2) +
            descriptor(STATUS, 1, WRITE))


def direct(kind, data=DATA, length=4096, sector=0):
    return memory((0, chain(kind, data, length)), (0x100, available(0)),
                  (HEADER, header(kind, sector)))


def indirect(kind):
    return memory((0, descriptor(TABLE, 48, INDIRECT)),
                  (0x100, available(0)), (HEADER, header(kind)),
                  (TABLE, chain(kind, DATA, 512)))


def replay():
    states = b''.join(struct.pack('<B5xHQ', 1 if head == 3 else 0, 0, 7)
                      for head in range(16))
    return memory((48, chain(READ, DATA, 512, 3)), (0x100, available(3)),
                  (HEADER, header(READ)),
                  (0x3000, struct.pack('<QHHHH', 0, 1, 16, 0, 0) + states))


def packed(*descriptors):
    """A ring: (address, length, ID, flags) each, available in its first lap."""
    return b''.join(struct.pack('<QIHH', address, length, name, flags | 1 << 7)
                    for address, length, name, flags in descriptors)


def packed_chain(kind, data, length, name):
    flags = NEXT | (0 if kind == WRITES else WRITE)
    return ((HEADER, 16, name, NEXT), (data, length, name, flags),
            (STATUS, 1, name, WRITE))


def packed_direct(kind, *names, event=(0, 0)):
    chains = [part for name in names
              for part in packed_chain(kind, DATA + 512 * name, 512, name)]
    return memory((0, packed(*chains)), (0x100, struct.pack('<HH', *event)),
                  (HEADER, header(kind)))


def packed_indirect(kind):
    table = b''.join(struct.pack('<QIHH', address, length, 0, flags)
                     for address, length, flags in (
                         (HEADER, 16, 0), (DATA, 4096, WRITE),
                         (STATUS, 1, WRITE)))
    return memory((0, packed((TABLE, 48, 5, INDIRECT))),
                  (HEADER, header(kind)), (TABLE, table))


def packed_replay(used, old_used, free, old_free):
    """Chain of entries 0 to 2 in flight, the others free."""
    states = b''.join(struct.pack(
        '<BBHHHQHHIQ', index == 0, 0, index + 1, 2, 3, 7, 4, flags, length,
        address) for index, (address, length, flags) in enumerate(
            [(HEADER, 16, NEXT), (DATA, 512, NEXT | WRITE),
             (STATUS, 1, WRITE)] + [(0, 0, 0)] * 13))
    return memory((0, packed(*packed_chain(READ, DATA, 512, 4))),
                  (HEADER, header(READ)),
                  (0x3000, struct.pack('<QHHHHHHBB10x', 0, 1, 16, free,
                                       old_free, used, old_used, 1, 1) +
                   states))


def message(kind, payload=b'', flags=0):
    return bytes([kind, flags, len(payload)]) + payload


def number(value):
    return struct.pack('<Q', value)


def state(index, value):
    return struct.pack('<II', index, value)


STOP = message(18, state(0, 0)) + message(11, state(0, 0))
TABLE_MESSAGE = message(5, struct.pack('<II', 1, 0) + struct.pack(
    '<QQQQ', 0, 0x10000, USER, 0), ONE_MEMORY)
SEEDS = {
    'read': (GOOD, b'', direct(READ)),
    'write': (GOOD | REVERSED, b'', direct(WRITES)),
    'write-plain': (GOOD | PLAIN, b'', direct(WRITES)),
    'write-read-only': (GOOD | READ_ONLY, b'', direct(WRITES)),
    'flush': (GOOD, b'', memory(
        (0, descriptor(HEADER, 16, NEXT, 1) + descriptor(STATUS, 1, WRITE)),
        (0x100, available(0)), (HEADER, header(FLUSH)))),
    'get-id': (GOOD, b'', direct(GET_ID, DATA, 20)),
    'unaligned': (GOOD | REVERSED, b'', direct(READ, DATA + 3, 1024)),
    'beyond': (GOOD, b'', direct(READ, DATA, 4096, 511)),
    'indirect': (GOOD, b'', indirect(READ)),
    'replay': (GOOD | INFLIGHT, b'', replay()),
    'loop': (GOOD, b'', memory(
        (0, descriptor(HEADER, 16, NEXT, 0)), (0x100, available(0)))),
    'packed-read': (GOOD | PACKED | REVERSED, b'', packed_direct(
        READ, 0, 1, 2, event=(1 << 15 | 3, 2))),
    'packed-write-plain': (GOOD | PACKED | PLAIN, b'',
                           packed_direct(WRITES, 3, 1)),
    'packed-indirect': (GOOD | PACKED, b'', packed_indirect(READ)),
    'packed-twice': (GOOD | PACKED | REVERSED, b'',
                     packed_direct(READ, 2, 2)),
    'packed-endless': (GOOD | PACKED, b'', packed(*(
        ((HEADER, 16, 1, NEXT),) * 16))),
    'packed-replay': (GOOD | PACKED | INFLIGHT, b'',
                      packed_replay(0, 0, 3, 3)),
    'packed-replay-shown': (GOOD | PACKED | INFLIGHT, b'',
                            packed_replay(3, 0, 0, 3)),
    'packed-stop': (GOOD | PACKED | REVERSED, STOP + message(
        10, state(0, 0x80038003)), packed_direct(READ, 0)),
    'log': (GOOD | LOG, b'', direct(READ)),
    'log-packed': (GOOD | LOG | PACKED, b'', packed_direct(READ, 0, 1)),
    'log-again': (GOOD | LOG, message(6, struct.pack('<QQ', 16, 0),
                                      ONE_MEMORY), direct(READ)),
    'stop': (GOOD | REVERSED, STOP, direct(READ)),
    'memory-table': (GOOD | REVERSED, TABLE_MESSAGE, direct(READ)),
    'memory-removed': (GOOD, message(38, number(0) + struct.pack(
        '<QQQQ', 0, 0x10000, USER, 0)), direct(READ)),
    'questions': (0, b''.join(message(kind) for kind in (1, 15, 17, 36)) +
                  message(24, struct.pack('<III', 0, 60, 0) + bytes(60)) +
                  message(31, struct.pack('<QQHHI', 0, 0, 2, 128, 0)), b''),
    'start': (0, message(16, number(0x9229)) + message(
        2, number(1 << 32 | 1 << 30), NEED_REPLY) + message(3) + message(
            37, number(0) + struct.pack('<QQQQ', 0, 0x10000, USER, 0),
            ONE_MEMORY | NEED_REPLY) + message(8, state(0, 16)) + message(
                10, state(0, 0)) + message(9, struct.pack(
                    '<IIQQQQ', 0, 0, USER, USER + 0x200, USER + 0x100, 0)) +
              message(13, number(0), ONE_EVENT) +
              message(12, number(0), ONE_EVENT) + message(18, state(0, 1)),
              direct(READ)),
}


def main():
    for name, (how, messages, image) in SEEDS.items():
        padding = -len(messages) % 4
        with open(os.path.join(sys.argv[1], name), 'wb') as file:
            file.write(bytes([how, (len(messages) + padding) // 4]) +
                       messages + bytes(padding) + image)


if __name__ == '__main__':
    main()
