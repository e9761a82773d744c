# SPDX-License-Identifier: Apache-2.0
"""What a disk may hold by two journals of `forebay bench` (src/load/journal.h,
stamp.h): what the earlier one acknowledged, up to what the later one began.
"""

import struct

SECTOR = 512
HEAD = struct.Struct('<QIIQQQQ16x')
VERSIONS = struct.Struct('<II')
STAMP = struct.Struct('<QQII')
ANYTHING, ZEROES = 0, 2
MASK = (1 << 64) - 1


class Lost(Exception):
    """A sector that holds what it can't."""


class Journal:
    def __init__(self, data):
        (_magic, _version, self.block_bytes, self.seed, _disk, self.first,
         self.count) = HEAD.unpack_from(data)
        self.blocks = [pair for pair in VERSIONS.iter_unpack(
            data[HEAD.size:HEAD.size + self.count * VERSIONS.size])]

    @staticmethod
    def bytes_for(span, block_bytes):
        return HEAD.size + span // block_bytes * VERSIONS.size


def noise(seed, sector, sequence, index):
    word = (seed ^ (sector << 20) ^ sequence) + (
        0x9e3779b97f4a7c15 * (index + 1))
    word &= MASK
    return ((word ^ (word >> 29)) * 0xbf58476d1ce4e5b9) & MASK


def check_sector(sector, data, seed, acked, submitted):
    low, high = acked // 4, submitted // 4
    if not any(data):
        if acked % 4 in (ANYTHING, ZEROES) or high > low:
            return
        raise Lost(f'sector {sector}: zeroes instead of {low}')
    found_seed, where, sequence, _crc = STAMP.unpack_from(data)
    last, = struct.unpack_from('<Q', data, SECTOR - 8)
    if (found_seed, where) != (seed, sector) or last != noise(
            seed, sector, sequence, 60):
        raise Lost(f'sector {sector}: foreign bytes')
    if sequence > high or (sequence < low and acked % 4 != ANYTHING):
        raise Lost(f'sector {sector}: {sequence} instead of {low} to {high}')


def check(data, before, after):
    """@data: of the disk's beginning. Returns how many sectors were looked
    at."""
    looked = 0
    for number, (acked, _) in enumerate(before.blocks):
        submitted = after.blocks[number][1]
        if submitted == 0:
            continue
        start = before.first + number * before.block_bytes
        for at in range(start, start + before.block_bytes, SECTOR):
            check_sector(at // SECTOR, data[at:at + SECTOR], before.seed
                         if acked else after.seed, acked, submitted)
            looked += 1
    return looked
