# SPDX-License-Identifier: Apache-2.0
"""Reads the log that QEMU's blklogwrites driver keeps of a disk's writes.

It is the format of the kernel's dm-log-writes target, in sectors of 512 bytes,
little-endian:

    sector 0      u64 magic, u64 version, u64 count of entries, u32 sector size
    each entry    a sector: u64 where, u64 sectors, u64 flags, u64 length
                  then its data, unless it is a discard

A flush covers every write whose entry stands before its own.
"""

import struct

SECTOR = 512
MAGIC = 0x6a736677736872
HEAD = struct.Struct('<QQQI')
ENTRY = struct.Struct('<QQQQ')
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


class Write:
    """One entry; @data is b'' for a flush, and None for a discard."""

    def __init__(self, offset, length, flags, data):
        self.offset = offset
        self.length = length
        self.flags = flags
        self.data = data

    @property
    def flushes(self):
        return bool(self.flags & FLUSH)

    def apply(self, file):
        if self.length == 0:
            return
        file.seek(self.offset)
        file.write(self.data if self.data is not None else bytes(self.length))


def entries(path):
    """All entries, in their order."""
    with open(path, 'rb') as file:
        magic, version, count, size = HEAD.unpack(file.read(HEAD.size))
        if (magic, version, size) != (MAGIC, 1, SECTOR):
            raise ValueError(f'{path} is no log of writes: {magic:x}, '
                             f'{version}, {size}')
        at = SECTOR
        for _ in range(count):
            file.seek(at)
            where, sectors, flags, _length = ENTRY.unpack(
                file.read(ENTRY.size))
            at += SECTOR
            data = None
            if not flags & DISCARD:
                file.seek(at)
                data = file.read(sectors * SECTOR)
                at += sectors * SECTOR
            yield Write(where * SECTOR, sectors * SECTOR, flags, data)
