# SPDX-License-Identifier: Apache-2.0
"""A random program over several NBD connections, against a model in memory;
and a client that lives through kill -9 of the server.

FOREBAY_SEED repeats a run.
"""

import os
import random
import subprocess
import time
import unittest

import nbd

import spawn
import tap
from nbd_disks import CachedDisk, PlainDisk, RestlessDisk
from nbd_server import ALLOCATION, MIB, SECONDS, Server

SIZE = 8 * MIB + 512
CONNECTIONS = 4
ROUNDS = 250
SEED = int(os.environ.get('FOREBAY_SEED', '0')) or random.randrange(1 << 31)


class Operation:
    """One request of a round; its range is nobody else's in that round."""

    def __init__(self, offset, length):
        self.offset = offset
        self.length = length
        self.handle = None
        self.cookie = 0
        self.buffer = None
        self.name = ''
        self.fill = b''


class Program:
    """Keeps a model of the disk and checks every answer against it."""

    def __init__(self, uris, seed):
        self.random = random.Random(seed)
        self.image = bytearray(SIZE)
        # Sectors whose contents a trim has left undefined.
        self.undefined = set()
        self.handles = []
        for uri in uris:
            handle = nbd.NBD()
            handle.add_meta_context(ALLOCATION)
            handle.connect_uri(uri)
            self.handles.append(handle)

    def ranges(self):
        """Ranges side by side, none of which touches another."""
        at = 0
        while True:
            at += 512 * self.random.choice((0, 1, 7, 8, 100, 1000))
            length = 512 * self.random.choice((1, 3, 8, 8, 16, 128, 513))
            if self.random.random() < 0.7:
                at = (at + 4095) & ~4095
            if at + length > SIZE:
                return
            yield at, length
            at += length

    def forget(self, offset, length, undefined):
        sectors = range(offset // 512, (offset + length) // 512)
        if undefined:
            self.undefined.update(sectors)
        else:
            self.undefined.difference_update(sectors)

    def begin(self, operation):
        name = self.random.choice(('write', 'write', 'read', 'read', 'zero',
                                   'trim', 'cache'))
        operation.name = name
        operation.handle = self.random.choice(self.handles)
        fua = self.random.choice((0, 0, nbd.CMD_FLAG_FUA))
        handle, at, length = (operation.handle, operation.offset,
                              operation.length)
        if name == 'write':
            operation.fill = self.random.randbytes(length)
            operation.buffer = nbd.Buffer.from_bytearray(
                bytearray(operation.fill))
            operation.cookie = handle.aio_pwrite(operation.buffer, at,
                                                 flags=fua)
        elif name == 'read':
            operation.buffer = nbd.Buffer(length)
            operation.cookie = handle.aio_pread(operation.buffer, at)
        elif name == 'zero':
            fua |= self.random.choice((0, nbd.CMD_FLAG_NO_HOLE))
            operation.cookie = handle.aio_zero(length, at, flags=fua)
        elif name == 'trim':
            operation.cookie = handle.aio_trim(length, at, flags=fua)
        else:
            operation.cookie = handle.aio_cache(length, at)

    def end(self, operation):
        deadline = time.monotonic() + SECONDS
        while not operation.handle.aio_command_completed(operation.cookie):
            operation.handle.poll(1000)
            assert time.monotonic() < deadline
        at, length = operation.offset, operation.length
        if operation.name == 'write':
            self.image[at:at + length] = operation.fill
            self.forget(at, length, False)
        elif operation.name == 'zero':
            self.image[at:at + length] = bytes(length)
            self.forget(at, length, False)
        elif operation.name == 'trim':
            self.forget(at, length, True)
        elif operation.name == 'read':
            self.compare(at, bytes(operation.buffer.to_bytearray()))

    def compare(self, offset, data):
        """What a trim left undefined is defined by who reads it first."""
        if data == self.image[offset:offset + len(data)]:
            self.forget(offset, len(data), False)
            return
        for i in range(0, len(data), 512):
            sector = (offset + i) // 512
            if sector in self.undefined:
                self.image[offset + i:offset + i + 512] = data[i:i + 512]
            elif data[i:i + 512] != self.image[offset + i:offset + i + 512]:
                raise AssertionError(f'sector {sector} is wrong')
        self.forget(offset, len(data), False)

    def check_extents(self):
        """Of what is said to be zeros, nothing was written since."""
        handle = self.random.choice(self.handles)
        at = self.random.randrange(SIZE // 512) * 512
        length = min(SIZE - at, self.random.choice((512, 65536, 4 * MIB)))
        told = []
        handle.block_status(length, at,
                            lambda _, offset, entries, error:
                            told.extend(entries))
        assert told and sum(told[::2]) <= length
        for size, status in zip(told[::2], told[1::2]):
            assert size > 0 and size % 512 == 0
            for sector in range(at // 512, (at + size) // 512):
                if status & nbd.STATE_ZERO and sector not in self.undefined:
                    assert not any(
                        self.image[sector * 512:sector * 512 + 512]), sector
            at += size

    def run(self, rounds):
        for number in range(rounds):
            batch = [Operation(*place) for place in self.ranges()]
            self.random.shuffle(batch)
            batch = batch[:self.random.choice((1, 8, 30))]
            for operation in batch:
                self.begin(operation)
            for operation in batch:
                self.end(operation)
            self.check_extents()
            if number % 10 == 0:
                self.random.choice(self.handles).flush()

    def finish(self, reader):
        for at in range(0, SIZE, MIB):
            self.compare(at, bytes(reader.pread(min(MIB, SIZE - at), at)))
        for handle in self.handles:
            handle.shutdown()


class RandomProgram(unittest.TestCase):

    def run_on(self, uri, read_only_uri):
        print(f'# seed {SEED}')
        program = Program([uri] * CONNECTIONS, SEED)
        program.run(ROUNDS)
        reader = nbd.NBD()
        reader.connect_uri(read_only_uri)
        program.finish(reader)
        reader.shutdown()
        return program

    def test_over_memory_that_completes_in_reverse(self):
        server = Server(self, SIZE, 'reversed')
        self.run_on(server.uri, server.uri)

    def test_over_a_plain_disk(self):
        disk = PlainDisk(self, SIZE)
        program = self.run_on(disk.uri, disk.read_only_uri)
        with open(disk.image, 'rb') as file:
            self.assertEqual(file.read(), program.image)

    def over_a_cache(self, disk):
        program = self.run_on(disk.uri, disk.read_only_uri)
        self.assertEqual(disk.close(), 0)
        with open(disk.image, 'rb') as file:
            self.assertEqual(file.read(), program.image)

    def test_over_a_cached_disk(self):
        self.over_a_cache(CachedDisk(self, SIZE))

    def test_over_a_cached_disk_that_always_writes_back(self):
        self.over_a_cache(RestlessDisk(self, SIZE))


class Reconnect(unittest.TestCase):
    """QEMU's NBD client with reconnect-delay, by qemu-io."""

    def start_client(self, disk):
        log = disk.path('qemu-io')
        with open(log, 'wb') as out:
            client = subprocess.Popen(
                ['qemu-io', '--image-opts',
                 'driver=nbd,server.type=unix,'
                 f'server.path={disk.nbd_socket},export=d,'
                 'reconnect-delay=60,open-timeout=10'],
                stdin=subprocess.PIPE, stdout=out, stderr=out, text=True,
                preexec_fn=spawn.die_with_parent)
        self.addCleanup(client.kill)
        return client, log

    def check(self, disk):
        client, log = self.start_client(disk)
        total = 400
        for i in range(total):
            client.stdin.write(f'aio_write -q -P {i % 250 + 1} {i}00k 64k\n')
            if i % 40 == 0:
                client.stdin.write('aio_flush\nflush\n')
            client.stdin.flush()
            if i in (100, 220, 340):
                disk.disk.kill()
                disk.start_disk()
        client.stdin.write('aio_flush\n')
        for i in range(total):
            client.stdin.write(f'read -q -P {i % 250 + 1} {i}00k 64k\n')
        client.stdin.write('quit\n')
        client.stdin.close()
        self.assertEqual(client.wait(4 * SECONDS), 0)
        with open(log, encoding='utf-8') as file:
            text = file.read()
        for bad in ('failed', 'error', 'rror'):
            self.assertNotIn(bad, text.replace('qemu-io> ', ''), text[-2000:])

    def test_a_plain_disk_that_is_killed_fails_no_request(self):
        self.check(PlainDisk(self, 64 * MIB))

    def test_a_cached_disk_that_is_killed_fails_no_request(self):
        self.check(CachedDisk(self, 64 * MIB))


if __name__ == '__main__':
    tap.main()
