# SPDX-License-Identifier: Apache-2.0
"""What people do with a disk over NBD: look, copy, discard, back up."""

import json
import os
import unittest

import nbd

import tap
from nbd_disks import (
    MIB, CachedDisk, PlainDisk, VhostShell, make_sparse, run,
    taken_bytes)
from nbd_server import ALLOCATION, DIRTY

SIZE = 48 * MIB
PLACES = (0, 5 * MIB, 20 * MIB, 20 * MIB + 131072, SIZE - 65536)


def map_of(uri, context=ALLOCATION):
    """[(offset, length, type)] as nbdinfo tells it."""
    return [(part['offset'], part['length'], part['type']) for part in
            json.loads(run('nbdinfo', f'--map={context}', '--json', uri))]


class Tools:
    """Over each kind of disk."""

    kind = None

    def setUp(self):
        self.disk = self.kind(self, SIZE)
        self.uri = self.disk.uri

    def path(self, name):
        return self.disk.path(name)

    def connect(self, uri=None):
        handle = nbd.NBD()
        handle.add_meta_context(ALLOCATION)
        handle.add_meta_context(DIRTY)
        handle.connect_uri(uri or self.uri)
        self.addCleanup(handle.shutdown)
        return handle

    def test_nbdinfo_finds_all_that_is_offered(self):
        for able in ('cache', 'df', 'fast-zero', 'flush', 'fua', 'multi-conn',
                     'trim', 'zero', 'structured-reply'):
            run('nbdinfo', '--can', able, self.uri)
        run('nbdinfo', '--is', 'read-only', self.uri, code=2)
        for able in ('cache', 'flush', 'fua', 'multi-conn'):
            run('nbdinfo', '--can', able, self.disk.read_only_uri)
        run('nbdinfo', '--is', 'read-only', self.disk.read_only_uri)
        for able in ('trim', 'zero', 'fast-zero'):
            run('nbdinfo', '--can', able, self.disk.read_only_uri, code=2)
        self.assertEqual(
            int(run('nbdinfo', '--size', self.disk.read_only_uri)), SIZE)

    def test_nbdinfo_lists_both_names_and_their_contexts(self):
        listing = json.loads(run(
            'nbdinfo', '--list', '--json',
            f'nbd+unix:///?socket={self.disk.nbd_socket}'))
        self.assertEqual({part['export-name']: part['is_read_only']
                          for part in listing['exports']},
                         {'d': False, 'd-ro': True})
        for part in listing['exports']:
            self.assertEqual(part['contexts'], [ALLOCATION, DIRTY])

    def test_nbdcopy_keeps_what_is_sparse_sparse(self):
        source, target = self.path('source'), self.path('target')
        make_sparse(source, SIZE, PLACES)
        run('nbdcopy', source, self.uri)
        for uri in (self.uri, self.disk.read_only_uri):
            run('nbdcopy', uri, target)
            run('cmp', source, target)
            os.unlink(target)
        self.disk.flush_down()
        run('nbdcopy', '--connections=4', self.uri, target)
        run('cmp', source, target)
        self.check_sparse(target)

    def check_sparse(self, target):
        self.assertLess(taken_bytes(target), 4 * MIB)
        self.assertLess(self.disk.image_bytes(), 4 * MIB)

    def test_qemu_img_maps_and_converts(self):
        handle = self.connect()
        handle.pwrite(b'd' * 65536, 5 * MIB)
        handle.flush()
        self.disk.flush_down()
        parts = json.loads(run('qemu-img', 'map', '--output=json', '-f', 'raw',
                               self.uri))
        self.assertEqual([(part['start'], part['length']) for part in parts
                          if part['data']], [(5 * MIB, 65536)])
        qcow2, raw = self.path('q'), self.path('r')
        run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2',
            self.disk.read_only_uri, qcow2)
        self.assertLess(taken_bytes(qcow2), 2 * MIB)
        run('qemu-img', 'convert', '-O', 'raw', qcow2, raw)
        run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', raw, self.uri)

    def test_qemu_img_writes_a_sparse_image_onto_a_full_disk(self):
        handle = self.connect()
        for at in range(0, SIZE, 4 * MIB):
            handle.pwrite(b'o' * (4 * MIB), at)
        source = self.path('source')
        make_sparse(source, SIZE, PLACES)
        run('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', source,
            self.uri)
        run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', source, self.uri)

    def test_qemu_io_discards_and_zeroes(self):
        run('qemu-io', '-f', 'raw', '-d', 'unmap',
            '-c', 'write -P 5 0 8M', '-c', 'discard 0 4M',
            '-c', 'write -z 4M 1M', '-c', 'write -z -u 5M 1M',
            '-c', 'read -P 0 4M 2M', '-c', 'read -P 5 6M 2M', '-c', 'flush',
            self.uri)

    def test_libnbd_asks_about_both_contexts_at_once(self):
        handle = self.connect()
        self.assertTrue(handle.can_meta_context(ALLOCATION))
        self.assertTrue(handle.can_meta_context(DIRTY))
        handle.pwrite(b'd' * 65536, MIB)
        told = {}

        def extents(name, offset, entries, _):
            told[name] = (offset, list(zip(entries[::2], entries[1::2])))

        handle.block_status(2 * MIB, 0, extents)
        self.assertEqual(set(told), {ALLOCATION, DIRTY})
        self.assertEqual(told[ALLOCATION],
                         (0, [(MIB, 3), (65536, 0), (MIB - 65536, 3)]))
        told.clear()
        handle.block_status(MIB, MIB + 4096, extents, nbd.CMD_FLAG_REQ_ONE)
        self.assertEqual(told[ALLOCATION], (MIB + 4096, [(61440, 0)]))

    def test_libnbd_reads_in_one_piece_and_hints(self):
        handle = self.connect()
        handle.pwrite(b'1' * 4096, 0)
        pieces = []

        def chunk(data, offset, status, _):
            pieces.append((bytes(data), offset, status))

        handle.pread_structured(8192, 0, chunk, nbd.CMD_FLAG_DF)
        self.assertEqual(pieces, [(b'1' * 4096 + bytes(4096), 0,
                                   nbd.READ_DATA)])
        handle.cache(SIZE, 0)
        handle.cache(512, SIZE - 512)

    def test_libnbd_hears_what_is_wrong(self):
        handle = self.connect(self.disk.read_only_uri)
        handle.set_strict_mode(0)
        for call in (lambda: handle.pwrite(bytes(512), 0),
                     lambda: handle.trim(512, 0),
                     lambda: handle.zero(512, 0)):
            with self.assertRaises(nbd.Error) as caught:
                call()
            self.assertEqual(caught.exception.errno, 'EPERM')
        writer = self.connect()
        writer.set_strict_mode(0)
        for call, name in ((lambda: writer.pread(512, SIZE), 'EINVAL'),
                           (lambda: writer.pwrite(bytes(512), SIZE), 'ENOSPC'),
                           (lambda: writer.zero(512, SIZE), 'ENOSPC'),
                           (lambda: writer.trim(512, SIZE), 'EINVAL'),
                           (lambda: writer.cache(512, SIZE), 'EINVAL'),
                           (lambda: writer.pread(100, 0), 'EINVAL'),
                           (lambda: writer.block_status(
                               512, SIZE, lambda *_: 0), 'EINVAL')):
            with self.assertRaises(nbd.Error) as caught:
                call()
            self.assertEqual(caught.exception.errno, name)
        self.assertEqual(writer.pread(512, 0), bytes(512))

    def test_a_vm_and_nbd_clients_see_each_others_writes(self):
        machine = VhostShell(self, self.disk.vhost_socket)
        writer = self.connect()
        reader = self.connect(self.disk.read_only_uri)
        for i in range(1, 100):
            at = i * 37 % 40 * MIB
            self.assertEqual(machine.ask(f'write {at} 65536 {i}'), [0])
            self.assertEqual(reader.pread(65536, at), bytes([i]) * 65536)
            self.assertEqual(writer.pread(65536, at), bytes([i]) * 65536)
            writer.pwrite(bytes([255 - i]) * 4096, at + 4096)
            self.assertEqual(machine.ask(f'read {at + 4096} 4096'),
                             [0, 255 - i])
            self.assertEqual(machine.ask(f'read {at} 65536'), [0, -1])
            if i % 10 == 0:
                writer.zero(65536, at)
                self.assertEqual(machine.ask(f'read {at} 65536'), [0, 0])
                self.assertEqual(machine.ask('flush'), [0])

    def test_a_backup_runs_beside_a_vm_that_writes(self):
        """Each MiB is one write's or the next one's, none torn or older."""
        machine = VhostShell(self, self.disk.vhost_socket)
        places = SIZE // MIB
        machine.send(f'run {places * 20} {MIB}')
        written = 0
        while written < places:
            written = int(machine.expect('wrote')[0])
        before = written
        target = self.path('backup')
        run('nbdcopy', '--request-size=1048576', self.disk.read_only_uri,
            target)
        self.assertIsNone(machine.popen.poll())
        while written < places * 20:
            written = int(machine.expect('wrote')[0])
        with open(target, 'rb') as file:
            for place in range(places):
                data = file.read(MIB)
                allowed = {number & 255 for number in
                           range(place + 1, places * 20 + 1, places)
                           if number > before - places}
                self.assertLessEqual(set(data), allowed, place)


class OverPlainDisk(Tools, unittest.TestCase):

    kind = PlainDisk

    def test_nbdinfo_maps_data_and_holes(self):
        handle = self.connect()
        handle.pwrite(b'd' * MIB, 4 * MIB)
        handle.pwrite(b'd' * 4096, 9 * MIB)
        self.assertEqual(map_of(self.uri), [
            (0, 4 * MIB, 3), (4 * MIB, MIB, 0), (5 * MIB, 4 * MIB, 3),
            (9 * MIB, 4096, 0), (9 * MIB + 4096, SIZE - 9 * MIB - 4096, 3)])
        self.assertEqual(map_of(self.uri, DIRTY), [(0, SIZE, 0)])
        handle.trim(MIB, 4 * MIB, nbd.CMD_FLAG_FUA)
        self.assertEqual(map_of(self.uri)[0], (0, 9 * MIB, 3))

    def test_discards_and_zeroes_give_space_back_unless_told_not_to(self):
        handle = self.connect()
        handle.pwrite(b'd' * (8 * MIB), 0)
        self.assertGreaterEqual(self.disk.image_bytes(), 8 * MIB)
        handle.zero(2 * MIB, 0, nbd.CMD_FLAG_NO_HOLE)
        self.assertGreaterEqual(self.disk.image_bytes(), 8 * MIB)
        handle.zero(2 * MIB, 2 * MIB)
        handle.trim(2 * MIB, 4 * MIB)
        self.assertLess(self.disk.image_bytes(), 5 * MIB)
        self.assertEqual(handle.pread(4 * MIB, 0), bytes(4 * MIB))
        self.assertEqual(handle.pread(512, 6 * MIB), b'd' * 512)

    def test_the_longest_trims_and_zeroes_are_one_request(self):
        disk = PlainDisk(self, 5 << 30)
        handle = self.connect(disk.uri)
        longest = (1 << 32) - 512
        for change, flags in ((handle.trim, 0), (handle.zero, 0),
                              (handle.zero, nbd.CMD_FLAG_FAST_ZERO)):
            handle.pwrite(b'd' * 4096, 0)
            handle.pwrite(b'd' * 4096, longest)
            change(longest, 512, flags)
            self.assertEqual(handle.pread(512, 0), b'd' * 512)
            if change == handle.zero:
                self.assertEqual(handle.pread(3584, 512), bytes(3584))
            self.assertEqual(handle.pread(512, longest + 512), b'd' * 512)
            self.assertLess(disk.image_bytes(), MIB)

    def test_fast_zeroes_are_fast_or_refused(self):
        handle = self.connect()
        handle.pwrite(b'd' * MIB, 0)
        handle.zero(4 * MIB, 4 * MIB,
                    nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_FUA)
        handle.zero(65536, 0, nbd.CMD_FLAG_FAST_ZERO)
        self.assertEqual(handle.pread(131072, 0), bytes(65536) + b'd' * 65536)
        try:
            handle.zero(512, 131072, nbd.CMD_FLAG_FAST_ZERO)
            wanted = bytes(512)
        except nbd.Error as error:
            self.assertEqual(error.errno, 'ENOTSUP')
            wanted = b'd' * 512
        self.assertEqual(handle.pread(512, 131072), wanted)


class OverCachedDisk(Tools, unittest.TestCase):

    kind = CachedDisk

    def check_sparse(self, target):
        # The cache knows no holes: zeroes went through it as writes.
        self.assertEqual(taken_bytes(target) <= SIZE + MIB, True)

    def test_nbdinfo_maps_what_is_dirty_and_never_as_a_hole(self):
        handle = self.connect()
        handle.pwrite(b'd' * MIB, 4 * MIB)
        handle.pwrite(b'd' * 512, 9 * MIB)
        parts = [(0, 4 * MIB), (4 * MIB, MIB), (5 * MIB, 4 * MIB),
                 (9 * MIB, 4096), (9 * MIB + 4096, SIZE - 9 * MIB - 4096)]
        self.assertEqual(map_of(self.uri), [
            (*part, 0 if i % 2 else 3) for i, part in enumerate(parts)])
        self.assertEqual(map_of(self.uri, DIRTY), [
            (*part, i % 2) for i, part in enumerate(parts)])
        self.assertEqual(self.disk.image_bytes(), 0)
        self.disk.flush_down()
        self.assertEqual(map_of(self.uri, DIRTY), [(0, SIZE, 0)])
        self.assertEqual(map_of(self.uri)[1], (4 * MIB, MIB, 0))

    def test_zeroes_that_a_cache_can_log_are_fast(self):
        handle = self.connect()
        handle.pwrite(b'd' * MIB, 0)
        handle.zero(65536, 0, nbd.CMD_FLAG_FAST_ZERO)
        self.assertEqual(handle.pread(65536, 0), bytes(65536))
        self.assertEqual(handle.pread(65536, 65536), b'd' * 65536)

    def test_zeroes_that_must_go_below_are_not_fast(self):
        self.disk.call('set-properties', {
            'filter': 'cache', 'properties': {'mode': 'write-through'}})
        handle = self.connect()
        handle.pwrite(b'd' * MIB, 0)
        with self.assertRaises(nbd.Error) as caught:
            handle.zero(65536, 0, nbd.CMD_FLAG_FAST_ZERO)
        self.assertEqual(caught.exception.errno, 'ENOTSUP')
        self.assertEqual(handle.pread(65536, 0), b'd' * 65536)
        handle.zero(65536, 0)
        self.assertEqual(handle.pread(65536, 0), bytes(65536))


if __name__ == '__main__':
    tap.main(at_once=3)
