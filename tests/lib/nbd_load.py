# SPDX-License-Identifier: Apache-2.0
"""A client that keeps many NBD requests in flight and journals each promise.

Two connections take turns; flushes go over either, so that one has to cover
the writes of both. Ranges that are in flight aren't touched again before they
are back. When the server dies, what was in flight is unknown, and the journal
says what may have become of it.
"""

import select
import time

import nbd

from sector_journal import SECTOR, Journal, stamp

RECONNECT_SECONDS = 30
STALL_SECONDS = 30
REQUEST_SECTORS_MAX = 128
READ_SECTORS = 2048


class Broken(Exception):
    """The server is gone."""


class Request:
    """One request in flight."""

    def __init__(self, handle, kind, first, count):
        self.handle = handle
        self.kind = kind
        self.first = first
        self.count = count
        self.version = 0
        self.covered = None
        self.buffer = None
        self.cookie = 0


class Load:
    """@zones are (first sector, sector count) that the load works on."""

    def __init__(self, uri, zones, random, depth=16):
        self.uri = uri
        self.zones = zones
        self.random = random
        self.depth = depth
        self.journal = Journal()
        self.handles = []
        self.requests = []
        self.busy = set()
        self.done = {'write': 0, 'read': 0, 'flush': 0}
        self.progress = time.monotonic()

    def connect(self):
        """Connects again and again until somebody listens."""
        deadline = time.monotonic() + RECONNECT_SECONDS
        while len(self.handles) < 2:
            handle = nbd.NBD()
            try:
                handle.connect_uri(self.uri)
                self.handles.append(handle)
                self.progress = time.monotonic()
            except nbd.Error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def disconnect(self):
        for handle in self.handles:
            try:
                handle.shutdown()
            except nbd.Error:
                pass
        self.forget()

    def forget(self):
        """The server is gone, and what was in flight is nobody's now."""
        self.handles = []
        self.requests = []
        self.busy = set()

    def pick(self):
        """A range that no request in flight touches; or None."""
        zone_first, zone_count = self.random.choice(self.zones)
        count = min(self.random.choice((1, 1, 3, 8, 8, 8, 8, 16, 64,
                                        REQUEST_SECTORS_MAX)), zone_count)
        start = self.random.randrange(zone_count - count + 1)
        if count >= 8 and self.random.random() < 0.9:
            start &= ~7
        sectors = range(zone_first + start, zone_first + start + count)
        if not self.busy.isdisjoint(sectors):
            return None
        return sectors

    def submit(self):
        dice = self.random.random()
        handle = self.random.choice(self.handles)
        if dice < 0.04:
            request = Request(handle, 'flush', 0, 0)
            request.covered = self.journal.flush_begin()
            request.cookie = handle.aio_flush()
            self.requests.append(request)
            return
        sectors = self.pick()
        if sectors is None:
            return
        request = Request(handle, 'write' if dice < 0.7 else 'read',
                          sectors.start, len(sectors))
        offset = sectors.start * SECTOR
        # Before the call: once it is made, the write may have happened.
        if request.kind == 'write':
            request.version = self.journal.write_begin(request.first,
                                                       request.count)
            request.buffer = nbd.Buffer.from_bytearray(bytearray(
                stamp(request.first, request.count, request.version)))
            request.cookie = handle.aio_pwrite(request.buffer, offset)
        else:
            request.buffer = nbd.Buffer(request.count * SECTOR)
            request.cookie = handle.aio_pread(request.buffer, offset)
        self.busy.update(sectors)
        self.requests.append(request)

    def finish(self, request):
        self.done[request.kind] += 1
        if request.kind == 'flush':
            self.journal.flush_end(request.covered)
            return
        self.busy.difference_update(
            range(request.first, request.first + request.count))
        if request.kind == 'write':
            self.journal.write_end(request.first, request.count,
                                   request.version)
        else:
            self.journal.check(request.first,
                               bytes(request.buffer.to_bytearray()))

    def poll(self, milliseconds):
        poller = select.poll()
        for handle in self.handles:
            direction = handle.aio_get_direction()
            events = 0
            if direction & nbd.AIO_DIRECTION_READ:
                events |= select.POLLIN
            if direction & nbd.AIO_DIRECTION_WRITE:
                events |= select.POLLOUT
            poller.register(handle.aio_get_fd(), events)
        poller.poll(milliseconds)
        for handle in self.handles:
            handle.poll(0)

    def reap(self):
        left = []
        for request in self.requests:
            if request.handle.aio_command_completed(request.cookie):
                self.finish(request)
            else:
                left.append(request)
        if len(left) < len(self.requests) or not left:
            self.progress = time.monotonic()
        self.requests = left
        if time.monotonic() > self.progress + STALL_SECONDS:
            kinds = sorted({request.kind for request in left})
            raise TimeoutError(f'nothing of {len(left)} requests '
                               f'({", ".join(kinds)}) was answered within '
                               f'{STALL_SECONDS} s')

    def broken(self):
        return any(handle.aio_is_dead() or handle.aio_is_closed()
                   for handle in self.handles)

    def step(self):
        """Some requests out, some back. Broken when the server is gone."""
        try:
            for _ in range(self.depth - len(self.requests)):
                self.submit()
            self.poll(10)
            self.reap()
        except nbd.Error as error:
            if self.broken():
                raise Broken from error
            raise

    def drain(self):
        """Waits for all that is in flight."""
        while self.requests:
            self.poll(10)
            self.reap()

    def run(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.step()

    def run_until_broken(self, seconds=30):
        """The server was killed: what it has answered still counts."""
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                self.step()
        except Broken:
            self.forget()
            return
        raise TimeoutError('the connections outlive their server')

    def settle(self):
        """After a crash: reads everything, and makes that durable."""
        self.connect()
        for first, count in self.zones:
            for at in range(first, first + count, READ_SECTORS):
                sectors = min(READ_SECTORS, first + count - at)
                self.journal.settle(at, bytes(self.handles[0].pread(
                    sectors * SECTOR, at * SECTOR)))
        covered = self.journal.flush_begin()
        self.handles[1].flush()
        self.journal.flush_end(covered)

    def check_image(self, path):
        """The whole truth, from the image alone."""
        with open(path, 'rb') as file:
            for first, count in self.zones:
                file.seek(first * SECTOR)
                self.journal.check(first, file.read(count * SECTOR))
