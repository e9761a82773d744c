# SPDX-License-Identifier: Apache-2.0
"""Reads a filter's sidecar, from docs/sidecar-format.md and nothing else.

    sidecar = read(path)
    sidecar.label   .disk, .generation, .next_generation, .pending, .filter,
                    .filter_version, .name; None in a file that is being made
    sidecar.data    bytes, with all that stands in the journal

Raises Damaged, with a reason, where the page says `stop`.
"""

import struct
from types import SimpleNamespace

BLOCK = 4096
SECTOR = 512
VERSION = 1
WRITE, RESIZE = 1, 2
JOURNAL = 4


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


def crc(data):
    value = 0xffffffff
    for byte in data:
        value = TABLE[(value ^ byte) & 0xff] ^ value >> 8
    return value ^ 0xffffffff


def own_crc(data):
    """Of a structure that holds its own CRC at offset 8."""
    return crc(data[:8] + bytes(4) + data[12:])


def sector_of(data, block, magic):
    """Returns: the sector, or None if it is blank."""
    sector = data[block * BLOCK:block * BLOCK + SECTOR]
    if sector == bytes(SECTOR):
        return None
    value, version = struct.unpack_from('<II', sector, 8)
    if sector[:8] != magic or value != own_crc(sector):
        raise Damaged(f'block {block}')
    if version != VERSION:
        raise Damaged(f'version {version}')
    return sector


def text(field):
    return field.split(b'\0')[0].decode()


def read_label(data):
    labels = []
    for block in (0, 1):
        sector = sector_of(data, block, b'FBSIDLAB')
        if sector:
            serial, generation, following, pending = struct.unpack_from(
                '<QQQI', sector, 32)
            labels.append(SimpleNamespace(
                serial=serial, disk=sector[16:32], generation=generation,
                next_generation=following, pending=pending,
                filter=text(sector[64:96]), filter_version=text(sector[96:128]),
                name=text(sector[128:160])))
    return max(labels, key=lambda label: label.serial, default=None)


def read_head(data):
    heads = []
    for block in (2, 3):
        sector = sector_of(data, block, b'FBSIDHED')
        if sector:
            heads.append(struct.unpack_from('<QQQQII', sector, 16))
    if not heads:
        raise Damaged('no head')
    return max(heads)


class Record:
    """The record that begins at block @at of the journal: self.good."""

    def __init__(self, journal, at, incarnation, sequence):
        header = journal[at * BLOCK:(at + 1) * BLOCK]
        self.good = False
        if len(header) < BLOCK:
            return
        (magic, value, count, its_incarnation, its_sequence,
         self.blocks) = struct.unpack_from('<8sIIQQI', header)
        self.good = (
            magic == b'FBSIDREC' and value == own_crc(header) and
            (its_incarnation, its_sequence) == (incarnation, sequence) and
            self.blocks <= 256 and
            (at + 1 + self.blocks) * BLOCK <= len(journal))
        if not self.good:
            return
        self.entries = [struct.unpack_from('<IIQ', header, 64 + 16 * i)
                        for i in range(count)]
        self.data = [journal[(at + 1 + i) * BLOCK:(at + 2 + i) * BLOCK]
                     for i in range(self.blocks)]
        values = struct.unpack_from(f'<{self.blocks}I', header, 2112)
        self.good = all(crc(block) == value
                        for block, value in zip(self.data, values))


def apply(record, data):
    """Returns: the data with the record in force."""
    blocks = iter(record.data)
    for kind, count, first in record.entries:
        if kind == RESIZE:
            data = data[:first * BLOCK].ljust(first * BLOCK, b'\0')
        elif kind == WRITE:
            for i in range(count):
                at = (first + i) * BLOCK
                data = data[:at] + next(blocks) + data[at + BLOCK:]
        else:
            raise Damaged(f'entry of type {kind}')
    return data


def read(path):
    with open(path, 'rb') as file:
        content = file.read()
    label = read_label(content)
    (_, incarnation, sequence, length, at, journal_blocks) = read_head(content)
    journal = content[JOURNAL * BLOCK:(JOURNAL + journal_blocks) * BLOCK]
    data = content[(JOURNAL + journal_blocks) * BLOCK:][:length]
    data = data.ljust(length, b'\0')
    records = 0
    passed = 0
    while passed < journal_blocks:
        record = Record(journal, at, incarnation, sequence)
        if not record.good and at > 0:
            at = 0
            record = Record(journal, at, incarnation, sequence)
        if not record.good:
            break
        data = apply(record, data)
        at += 1 + record.blocks
        passed += 1 + record.blocks
        sequence += 1
        records += 1
    return SimpleNamespace(label=label, data=data, records=records)
