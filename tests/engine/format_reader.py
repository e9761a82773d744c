# SPDX-License-Identifier: Apache-2.0
"""Reads a cache file, from docs/cache-file-format.md and nothing else.

    cache = read(path_of_cache_file, uuid_bytes)
    cache.copies    block of the disk -> Copy
    cache.lay_over(backend_bytes) -> (bytes of the disk, blocks that are lost)

Raises Damaged, with a reason, where the page says `stop`.
"""

import struct

BLOCK = 4096
SECTOR = 512
SUPERBLOCK = 65536
OPEN = (1 << 64) - 1
MOST = 1 << 62
WRITE, FILL, REAPPEND, ZERO, DISCARD, DROP, CLEAN = range(1, 8)
DATA = (WRITE, FILL, REAPPEND)
ZEROS = (ZERO, DISCARD)
AMENDS, DIRTY, LOST = 1, 2, 4


class Damaged(Exception):
    pass


def make_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = make_table()


def crc(*parts):
    value = 0xffffffff
    for part in parts:
        for byte in part:
            value = TABLE[(value ^ byte) & 0xff] ^ value >> 8
    return value ^ 0xffffffff


def crc_is_right(data, used):
    """Of a structure that holds its own CRC at offset 8."""
    return crc(data[:8], bytes(4), data[12:used]) == \
        struct.unpack_from('<I', data, 8)[0]


class Row:
    def __init__(self, data):
        self.epoch, self.incarnation, self.first, self.last = \
            struct.unpack('<4Q', data)


class Superblock:
    def __init__(self, data, uuid):
        (magic, version, self.uuid, self.generation, self.disk_bytes,
         self.file_bytes, self.tail, self.segment_blocks, row_count,
         self.flags) = struct.unpack_from('<8s4xI16sQQQQIII', data)
        self.good = (
            magic == b'FBCHES01' and version in (1, 2, 3) and self.uuid == uuid and
            self.segment_blocks in (8, 16, 32, 64, 128, 256, 512) and
            1 <= self.tail <= MOST and self.generation <= MOST and
            row_count <= 2040 and crc_is_right(data, SUPERBLOCK))
        self.blank = magic == bytes(8)
        if not self.good:
            return
        self.rows = [Row(data[at:at + 32])
                     for at in range(256, 256 + 32 * row_count, 32)]
        self.good = self.rows_possible()

    def rows_possible(self):
        after = 1
        for row in self.rows:
            is_open = row is self.rows[-1] and row.last == OPEN
            if not after <= row.first <= MOST or row.last < row.first - 1 or \
                    not (is_open or row.last <= MOST):
                return False
            after = row.last + 1
        return True

    def row_of(self, epoch, incarnation, sequence):
        for row in self.rows:
            if (row.epoch, row.incarnation) == (epoch, incarnation) and \
                    row.first <= sequence <= row.last:
                return row
        return None


class Entry:
    def __init__(self, header, at, data_block):
        (self.type, self.flags, self.mask, self.count, self.first,
         self.upto) = struct.unpack_from('<BBBxIQQ', header, at)
        self.data_blocks = self.count if self.type in DATA else 0
        self.bytes = 24 + (4 * self.data_blocks + 7) // 8 * 8
        self.data_block = data_block

    def possible(self, disk_blocks):
        if self.type not in DATA + ZEROS + (DROP, CLEAN) or \
                self.count < 1 or self.first + self.count > disk_blocks:
            return False
        if self.type in ZEROS:
            return self.count <= 16384 and self.mask == 0
        return self.type not in DATA or (
            self.count <= 256 and (self.mask == 0 or self.count == 1))


class Record:
    """The record at @block of a segment, if it counts: self.good."""

    def __init__(self, segment, block, uuid, disk_blocks):
        header = segment[block * BLOCK:(block + 1) * BLOCK]
        (magic, self.crc, used, entry_count, its_uuid, self.epoch,
         self.incarnation, self.sequence, self.tail, self.durable,
         self.previous_crc, self.data_blocks) = \
            struct.unpack_from('<8sIHH16sQQQQQII', header)
        self.end = block + 1 + self.data_blocks
        self.header = header[:used]
        self.uuid = uuid
        self.data = segment[(block + 1) * BLOCK:self.end * BLOCK]
        self.entries = []
        self.good = (
            magic == b'FRECRD01' and its_uuid == uuid and
            128 <= used <= BLOCK and self.data_blocks <= 256 and
            self.end * BLOCK <= len(segment) and
            1 <= self.tail <= self.sequence <= MOST and
            self.durable < self.sequence and crc_is_right(header, used) and
            self.read_entries(header, entry_count, used, disk_blocks))

    def read_entries(self, header, count, used, disk_blocks):
        at, data_block = 128, 0
        for _ in range(count):
            if at + 24 > used:
                return False
            entry = Entry(header, at, data_block)
            if not entry.possible(disk_blocks) or at + entry.bytes > used:
                return False
            entry.checks = struct.unpack_from(f'<{entry.data_blocks}I', header,
                                              at + 24)
            self.entries.append(entry)
            at += entry.bytes
            data_block += entry.data_blocks
        return at == used and data_block == self.data_blocks

    def blocks(self, entry):
        """(block of the disk, data, check value) of an entry with data."""
        for i, check in enumerate(entry.checks):
            at = (entry.data_block + i) * BLOCK
            yield entry.first + i, self.data[at:at + BLOCK], check

    def check(self, block, data):
        return crc(self.uuid, struct.pack('<QQ', self.sequence, block), data)


class Segment:
    def __init__(self, number, data, superblock):
        self.number = number
        self.records = []
        self.row = None
        self.data = data
        (magic, uuid, epoch, incarnation, self.first) = \
            struct.unpack_from('<8s8x16sQQQ', data)
        if magic != b'FSEGMT01' or uuid != superblock.uuid or \
                not 1 <= self.first <= MOST or not crc_is_right(data, 56):
            return
        if incarnation > superblock.generation:
            raise Damaged('the newer superblock is damaged')
        self.row = superblock.row_of(epoch, incarnation, self.first)
        if self.row:
            self.walk(data, superblock)

    def walk(self, data, superblock):
        disk_blocks = -(-superblock.disk_bytes // BLOCK)
        block, sequence, previous = 1, self.first, None
        while block * BLOCK < len(data) and sequence <= self.row.last:
            record = Record(data, block, superblock.uuid, disk_blocks)
            if not record.good or record.sequence != sequence or \
                    record.epoch != self.row.epoch or \
                    record.incarnation != self.row.incarnation or \
                    previous not in (None, record.previous_crc):
                return
            self.records.append(record)
            block, sequence, previous = record.end, sequence + 1, record.crc

    def summary(self):
        """The headers that the segment's summary repeats; None: it has none."""
        end = self.data[-64:]
        magic, _, count, uuid, epoch, incarnation, first, size, blocks = \
            struct.unpack('<8sII16sQQQII', end)
        if magic != b'SUMARY01' or not crc_is_right(end, 64) or \
                (uuid, epoch, incarnation, first) != \
                struct.unpack_from('<16x16sQQQ', self.data):
            return None
        copies = self.data[-blocks * BLOCK:][:size]
        headers = []
        for _ in range(count):
            used = struct.unpack_from('<12xH', copies)[0]
            headers.append(copies[:used])
            copies = copies[used:]
        assert not copies
        return headers

    @property
    def last(self):
        return self.records[-1].sequence

    def follows(self, older):
        wanted = 0 if self.first == self.row.first else older.records[-1].crc
        return self.first == older.last + 1 and \
            self.records[0].previous_crc == wanted


class Copy:
    def __init__(self, record, data, check, entry):
        self.record = record
        self.data = data
        self.value = check
        self.mask = entry.mask or 0xff
        self.dirty = entry.type == WRITE or bool(entry.flags & DIRTY)
        self.lost = self.dirty and bool(entry.flags & LOST)


class Zeros:
    """A block without data: it reads as zeros, and is dirty."""
    dirty, lost = True, False

    def __init__(self, record):
        self.record = record


class Cache:
    def __init__(self, data, uuid):
        copies = [Superblock(data[at:at + SUPERBLOCK], uuid)
                  for at in (0, SUPERBLOCK)]
        good = [copy for copy in copies if copy.good]
        if not good:
            raise Damaged('blank' if all(copy.blank for copy in copies)
                          else 'no superblock')
        self.superblock = max(good, key=lambda copy: copy.generation)
        self.segments = self.survey(data)
        self.tail = self.superblock.tail
        self.cut = self.tail - 1
        self.copies = {}
        for record in self.find_records():
            self.apply(record)

    def survey(self, data):
        size = self.superblock.segment_blocks * BLOCK
        begin = -(-32 * BLOCK // size) * size
        count = (self.superblock.file_bytes - begin) // size
        segments = [Segment(i, data[begin + i * size:begin + (i + 1) * size],
                            self.superblock) for i in range(count)]
        return sorted((segment for segment in segments if segment.records),
                      key=lambda segment: segment.first)

    def find_start(self, sequence):
        for i in reversed(range(len(self.segments))):
            if self.segments[i].first <= sequence + 1 and \
                    self.segments[i].last >= sequence:
                return i
        return None

    def newer_half(self):
        """(first, behind the last) of the segments from what is durable."""
        records = [record for segment in self.segments
                   for record in segment.records]
        closed = [row.last for row in self.superblock.rows if row.last != OPEN]
        self.durable = max([record.durable for record in records] + closed +
                           [self.superblock.tail - 1])
        tail = max([record.tail for record in records], default=0)
        start = self.find_start(self.durable)
        if start is None and tail > self.durable:
            start = self.find_start(tail - 1)
        if start is None:
            if self.durable >= self.superblock.tail:
                raise Damaged(f'record {self.durable} is missing')
            return 0, 0
        end = start + 1
        while end < len(self.segments) and \
                self.segments[end].follows(self.segments[end - 1]):
            end += 1
        return start, end

    def suspects(self, start, end):
        """[sequence, block, sequence of what excuses it or None]"""
        suspects = []
        for segment in self.segments[start:end]:
            for record in segment.records:
                if record.sequence > self.durable:
                    self.suspect(record, suspects)
        return suspects

    @staticmethod
    def suspect(record, suspects):
        for entry in record.entries:
            if entry.type not in (WRITE, REAPPEND):
                continue
            for block, data, check in record.blocks(entry):
                if record.check(block, data) != check:
                    suspects.append([record.sequence, block, None])
                    continue
                if not entry.flags & AMENDS:
                    continue
                for bad in suspects:
                    if bad[1] == block and bad[2] is None and \
                            entry.upto <= bad[0] < record.sequence:
                        bad[2] = record.sequence

    def find_cut(self, start, end):
        cut = self.segments[end - 1].last
        suspects = self.suspects(start, end)
        moved = True
        while moved:
            moved = False
            for sequence, _, excuse in suspects:
                if sequence <= cut and (excuse is None or excuse > cut):
                    cut = sequence - 1
                    moved = True
        return cut

    def find_records(self):
        start, end = self.newer_half()
        if start == end:
            return []
        cut = self.find_cut(start, end)
        while end > 0 and self.segments[end - 1].first > cut:
            end -= 1
        if end == 0 or cut < self.tail:
            return []
        self.cut = cut
        self.tail = max([self.tail] + [
            record.tail for record in self.segments[end - 1].records
            if record.sequence <= cut])
        chain = self.older_half(end)
        if not chain:
            self.cut = self.superblock.tail - 1
        return [record for segment in chain for record in segment.records
                if record.sequence <= cut]

    def older_half(self, end):
        first = end
        while first > 0 and self.segments[first - 1].last >= self.tail:
            if first < end and not self.segments[first].follows(
                    self.segments[first - 1]):
                break
            first -= 1
        chain = self.segments[first:end]
        if chain and chain[0].first <= self.tail:
            return chain
        if self.durable < self.superblock.tail:
            return []
        raise Damaged(f'records from {self.tail} on are missing')

    def apply(self, record):
        for entry in record.entries:
            for block, data, check in record.blocks(entry):
                self.copies[block] = Copy(record, data, check, entry)
            for block in range(entry.first, entry.first + entry.count):
                copy = self.copies.get(block)
                if entry.type in ZEROS:
                    self.copies[block] = Zeros(record)
                elif entry.type == DROP:
                    self.copies.pop(block, None)
                elif entry.type == CLEAN and copy and not copy.lost and \
                        copy.record.sequence <= entry.upto:
                    if isinstance(copy, Zeros):
                        del self.copies[block]
                    else:
                        copy.dirty = False

    def summaries(self):
        """(segment, its summary) where there is one that fits."""
        found = ((segment, segment.summary()) for segment in self.segments)
        return [(segment, copies) for segment, copies in found if copies]

    def data_copies(self):
        return [copy for copy in self.copies.values()
                if not isinstance(copy, Zeros)]

    def dirty_blocks(self):
        return sum(copy.dirty for copy in self.copies.values())

    def lay_over(self, backend):
        """What a guest reads: the disk's bytes and the set of lost blocks."""
        disk = bytearray(backend)
        lost = set()
        for block, copy in self.copies.items():
            if copy.lost:
                lost.add(block)
            elif isinstance(copy, Zeros):
                disk[block * BLOCK:(block + 1) * BLOCK] = bytes(BLOCK)
            elif copy.record.check(block, copy.data) == copy.value:
                for i in range(8):
                    at = block * BLOCK + i * SECTOR
                    if copy.mask >> i & 1 and at < len(disk):
                        disk[at:at + SECTOR] = \
                            copy.data[i * SECTOR:(i + 1) * SECTOR]
            elif copy.dirty:
                lost.add(block)
        return bytes(disk), lost


def read(path, uuid):
    with open(path, 'rb') as file:
        return Cache(file.read(), uuid)
