# SPDX-License-Identifier: Apache-2.0
"""Writers through NBD that know what they must read back, over server crashes.

Each writer has a connection and a part of the region of its own. It stamps a
block with its number and a generation and remembers the last generation that
was acknowledged. When the connection breaks, the write under way may have
happened or not: after reconnecting, the block must hold the acknowledged
generation or that of the broken write, whole, and that is then what it must
hold from there on.
"""

import random
import struct
import threading
import time

import nbd

BLOCK = 4096
RECONNECT_SECONDS = 60


class Lost(Exception):
    """A block that holds neither what was acknowledged nor what came later."""


def stamp(block, generation):
    if generation == 0:
        return bytes(BLOCK)
    return struct.pack('<QQ', block, generation) * (BLOCK // 16)


def describe(data):
    """What a block that wasn't expected looks like, in words."""
    found = []
    for at in range(0, BLOCK, 512):
        block, generation = struct.unpack_from('<QQ', data, at)
        whole = data[at:at + 512] == struct.pack('<QQ', block,
                                                 generation) * 32
        found.append(f'{block}:{generation}' if whole else 'torn')
    return ', '.join(sorted(set(found)))


class Writer(threading.Thread):
    """One connection; ends when told, or with what went wrong in .error."""

    def __init__(self, uri, first, count, seed):
        super().__init__(daemon=True)
        self.uri = uri
        self.first = first
        self.count = count
        self.random = random.Random(seed)
        self.acked = [0] * count
        self.found = set()  # whose generation was found, not acknowledged
        self.handle = None
        self.ending = threading.Event()
        self.error = None
        self.writes = 0
        self.breaks = 0
        self.longest = 0.0

    def connect(self):
        """Connects again and again until somebody listens."""
        deadline = time.monotonic() + RECONNECT_SECONDS
        while True:
            handle = nbd.NBD()
            try:
                handle.connect_uri(self.uri)
                self.handle = handle
                return
            except nbd.Error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def broken(self):
        """Whether the connection is gone, as opposed to a refused request."""
        return self.handle.aio_is_dead() or self.handle.aio_is_closed()

    def read(self, index, count=1):
        return self.handle.pread(count * BLOCK,
                                 (self.first + index) * BLOCK)

    def settle(self, index, tried):
        """After a break: which of the two generations is it?"""
        while True:
            self.connect()
            try:
                data = self.read(index)
                break
            except nbd.Error:
                if not self.broken():
                    raise
        for generation in (tried, self.acked[index]):
            if data == stamp(self.first + index, generation):
                if generation == tried:
                    self.found.add(index)
                self.acked[index] = generation
                return
        raise Lost(f'block {self.first + index}: neither generation '
                   f'{self.acked[index]} nor {tried}: {describe(data)}')

    def write_run(self, index, count):
        """Writes @count blocks, each with its next generation, in one go."""
        data = b''.join(stamp(self.first + i, self.acked[i] + 1)
                        for i in range(index, index + count))
        start = time.monotonic()
        try:
            self.handle.pwrite(data, (self.first + index) * BLOCK)
            for i in range(index, index + count):
                self.acked[i] += 1
                self.found.discard(i)
        except nbd.Error:
            if not self.broken():
                raise
            self.breaks += 1
            for i in range(index, index + count):
                self.settle(i, self.acked[i] + 1)
        self.writes += 1
        self.longest = max(self.longest, time.monotonic() - start)

    def check_run(self, index, count):
        try:
            data = self.read(index, count)
        except nbd.Error:
            if not self.broken():
                raise
            self.breaks += 1
            self.connect()
            return
        for i in range(count):
            found = data[i * BLOCK:(i + 1) * BLOCK]
            if found != stamp(self.first + index + i, self.acked[index + i]):
                raise Lost(f'block {self.first + index + i}: generation '
                           f'{self.acked[index + i]} was acknowledged, not '
                           + describe(found))

    def step(self):
        index = self.random.randrange(self.count)
        count = min(self.random.choice((1, 1, 2, 8)), self.count - index)
        dice = self.random.random()
        if dice < 0.05:
            try:
                self.handle.flush()
            except nbd.Error:
                if not self.broken():
                    raise
                self.connect()
        elif dice < 0.6:
            self.write_run(index, count)
        else:
            self.check_run(index, count)

    def run(self):
        try:
            self.connect()
            while not self.ending.is_set():
                self.step()
        except Exception as error:  # reported by Writers in its thread
            self.error = error


class Writers:
    """All writers of a region that starts at block 0."""

    def __init__(self, uri, count, blocks_each, seed):
        self.uri = uri
        self.writers = [Writer(uri, number * blocks_each, blocks_each,
                               seed + number) for number in range(count)]

    def start(self):
        for writer in self.writers:
            writer.start()

    def check(self):
        """Raises what has gone wrong in any of them."""
        for writer in self.writers:
            if writer.error:
                raise writer.error

    def writes(self):
        self.check()
        return sum(writer.writes for writer in self.writers)

    def breaks(self):
        return sum(writer.breaks for writer in self.writers)

    def stop(self, seconds=RECONNECT_SECONDS + 30):
        for writer in self.writers:
            writer.ending.set()
        for writer in self.writers:
            writer.join(seconds)
            if writer.is_alive():
                raise TimeoutError('a writer is stuck')
        self.check()

    def expected(self, found=True):
        """(byte offset, bytes) of every block, for a look from elsewhere;
        without @found only of blocks whose last write was acknowledged."""
        for writer in self.writers:
            for index, generation in enumerate(writer.acked):
                if index in writer.found and not found:
                    continue
                block = writer.first + index
                yield block * BLOCK, stamp(block, generation)
