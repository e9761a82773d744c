# SPDX-License-Identifier: Apache-2.0
"""What each sector of a disk may hold, by the promises that were made of it.

A write stamps each of its sectors with the sector's number and the write's
version, which only grows. Writes that overlap are never in flight together. So
a sector may hold: its durable version, or any that was submitted after it. An
acknowledged flush makes durable what was acknowledged before it was sent.

The journal belongs to the client and shares nothing with what it checks.
"""

import struct

SECTOR = 512
ENTRY = struct.Struct('<QQ')


class Lost(Exception):
    """A sector that holds what it can't."""


def stamp(first, count, version):
    """The data of a write of @count sectors."""
    repeat = SECTOR // ENTRY.size
    return b''.join(ENTRY.pack(sector, version) * repeat
                    for sector in range(first, first + count))


def version_of(sector, data):
    """The version in a sector's 512 bytes; Lost for anything but a stamp."""
    head = data[:ENTRY.size]
    number, version = ENTRY.unpack(head)
    if data != head * (SECTOR // ENTRY.size):
        raise Lost(f'sector {sector} is torn: {data[:32].hex()}...')
    if version == 0 and number == 0:
        return 0
    if number != sector or version == 0:
        raise Lost(f'sector {sector} holds version {version} of {number}')
    return version


class Journal:
    """Versions of all sectors; those never written are 0 and read as zeros."""

    def __init__(self):
        self.version = 0
        self.durable = {}
        self.acked = {}
        self.submitted = {} # since the durable one, oldest first
        self.lost_acked = 0 # sectors that fell back within what is allowed

    def write_begin(self, first, count):
        """Returns the version with which to stamp the sectors."""
        self.version += 1
        for sector in range(first, first + count):
            self.submitted.setdefault(sector, []).append(self.version)
        return self.version

    def write_end(self, first, count, version):
        for sector in range(first, first + count):
            self.acked[sector] = version

    def flush_begin(self):
        """Returns what the flush covers, for flush_end()."""
        return {sector: self.acked[sector] for sector in self.submitted
                if sector in self.acked}

    def flush_end(self, covered):
        for sector, version in covered.items():
            if version <= self.durable.get(sector, 0):
                continue
            self.durable[sector] = version
            left = [later for later in self.submitted[sector]
                    if later > version]
            if left:
                self.submitted[sector] = left
            else:
                del self.submitted[sector]

    def check(self, first, data):
        """A read with no write to these sectors in flight: the last one."""
        for sector, version in self.versions(first, data):
            wanted = self.acked.get(sector, 0)
            if version != wanted:
                raise Lost(f'sector {sector} reads as version {version}, '
                           f'{wanted} was acknowledged')

    def settle(self, first, data):
        """A read after a crash: one of the possible; from now on the one."""
        for sector, version in self.versions(first, data):
            durable = self.durable.get(sector, 0)
            possible = self.submitted.get(sector, [])
            if version != durable and version not in possible:
                raise Lost(f'sector {sector} holds version {version} after '
                           f'a crash; durable is {durable}, later ones are '
                           f'{possible[-5:]}')
            if version < self.acked.get(sector, 0):
                self.lost_acked += 1
            self.acked[sector] = version
            # A version above it can't come back; it isn't durable yet.
            later = [other for other in possible if other <= version]
            if later:
                self.submitted[sector] = later
            else:
                self.submitted.pop(sector, None)

    @staticmethod
    def versions(first, data):
        for at in range(0, len(data), SECTOR):
            sector = first + at // SECTOR
            yield sector, version_of(sector, data[at:at + SECTOR])
