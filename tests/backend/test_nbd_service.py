# SPDX-License-Identifier: Apache-2.0
"""The `nbd:` backend over servers that can much and that can little."""

import shutil
import subprocess
import unittest

import nbd

import spawn
import tap
from disk_process import MIB, Disk, filter_entry, pattern
from nbd_server_process import make_qcow2, nbdkit, storage_daemon

SIZE = 16 * MIB


class Case(unittest.TestCase):

    def setUp(self):
        if not shutil.which('nbdkit'):
            self.skipTest('nbdkit is not installed')

    def disk(self, *words, filters=()):
        """A disk over nbdkit with @words; neither is started."""
        disk = Disk(self, filters, size=SIZE)
        server = nbdkit(self, disk.folder, *words)
        disk.config['backend'] = server.uri
        return disk, server

    def ready(self, *words, filters=()):
        disk, server = self.disk(*words, filters=filters)
        server.start()
        disk.start_ready()
        return disk

    def file(self, disk):
        path = disk.path('raw')
        with open(path, 'wb') as file:
            file.truncate(SIZE)
        return path

    def contents(self, path, offset, length):
        with open(path, 'rb') as file:
            file.seek(offset)
            return file.read(length)


    def check_all_operations(self, disk):
        handle = disk.nbd()
        handle.pwrite(pattern(1, MIB), 4096)
        handle.pwrite(pattern(2, 512), 512, nbd.CMD_FLAG_FUA)
        handle.flush()
        self.assertEqual(handle.pread(MIB, 4096), pattern(1, MIB))
        self.assertEqual(handle.pread(512, 512), pattern(2, 512))
        handle.zero(8192, 8192)
        self.assertEqual(handle.pread(4096, 4096), pattern(1))
        self.assertEqual(handle.pread(8192, 8192), bytes(8192))
        self.assertEqual(handle.pread(4096, 16384), pattern(1))
        if handle.can_trim():
            handle.trim(8192, 32768)
        self.assertEqual(handle.pread(4096, 65536), pattern(1))
        self.assertEqual(disk.call('stats')['backend_errors'], 0)


class Service(Case):

    def test_all_operations_reach_a_server_that_can_everything(self):
        self.check_all_operations(self.ready('memory', str(SIZE)))

    def test_all_operations_work_on_a_server_that_can_little(self):
        for words in (('--filter=nozero', 'memory', str(SIZE)),
                      ('--filter=fua', 'memory', str(SIZE)),
                      ('--filter=nozero', '--filter=noextents',
                       '--filter=fua', 'memory', str(SIZE))):
            with self.subTest(words):
                self.check_all_operations(self.ready(*words))

    def test_a_server_of_one_connection_gets_one(self):
        disk = self.ready('--filter=multi-conn', 'memory', str(SIZE),
                          'multi-conn-mode=disable')
        self.assertEqual(disk.call('stats')['backend']['connections'], 1)
        self.check_all_operations(disk)

    def test_a_coherent_server_gets_several_connections(self):
        disk = self.ready('memory', str(SIZE))
        spawn.wait_until(
            lambda: disk.call('stats')['backend']['connections'] == 4, 20,
            'four connections')

    def test_the_largest_block_of_the_server_is_kept_to(self):
        disk = self.ready('--filter=blocksize-policy', 'memory', str(SIZE),
                          'blocksize-minimum=512', 'blocksize-preferred=4096',
                          'blocksize-maximum=64K',
                          'blocksize-error-policy=error')
        handle = disk.nbd()
        handle.pwrite(pattern(3, MIB), 512)
        self.assertEqual(handle.pread(MIB, 512), pattern(3, MIB))
        handle.zero(MIB, 512)
        self.assertEqual(handle.pread(MIB, 512), bytes(MIB))
        self.assertEqual(disk.call('stats')['backend_errors'], 0)

    def test_fua_is_a_flush_where_the_server_has_none(self):
        disk, server = self.disk('--filter=log', '--filter=fua', 'memory',
                                 str(SIZE))
        log = disk.path('nbdkit-log')
        plain = server.argv
        server.argv = lambda socket: plain(socket) + ['logfile=' + log]
        server.start()
        disk.start_ready().nbd().pwrite(pattern(1), 0, nbd.CMD_FLAG_FUA)
        with open(log, encoding='utf-8') as file:
            text = file.read()
        self.assertIn(' Flush ', text)
        self.assertLess(text.index(' Write '), text.index(' Flush '))

    def test_holes_are_those_of_the_server(self):
        disk = self.ready('sparse-random', str(SIZE))
        extents = []

        def take(_context, _offset, entries, _error):
            extents.extend(zip(entries[::2], entries[1::2]))

        handle = nbd.NBD()
        handle.add_meta_context('base:allocation')
        handle.set_export_name('db1')
        handle.connect_unix(disk.path('nbd'))
        handle.block_status(SIZE, 0, take)
        self.assertTrue(any(flags & nbd.STATE_HOLE for _, flags in extents),
                        extents)

    def test_what_a_guest_reads_and_writes_is_not_copied(self):
        disk = self.ready('memory', str(SIZE), filters=[filter_entry('null')])
        handle = disk.nbd()
        for number in range(16):
            handle.pread(4096, number * 4096)
        self.assertEqual(disk.call('stats')['copied_bytes'], 0)

    def test_a_read_only_export_is_a_read_only_disk(self):
        disk, server = self.disk('-r', 'memory', str(SIZE))
        server.start()
        self.assertIn('read-only', disk.start_failing())
        disk.config['read_only'] = True
        self.assertEqual(disk.start_ready().nbd().pread(512, 0), bytes(512))

    def test_a_qcow2_image_serves_a_raw_disk(self):
        if not shutil.which('qemu-storage-daemon'):
            self.skipTest('qemu-storage-daemon is not installed')
        disk = Disk(self, [filter_entry('throttle')], size=SIZE)
        image = disk.path('q.qcow2')
        make_qcow2(image, SIZE)
        server = storage_daemon(self, disk.folder, image).start()
        disk.config['backend'] = server.uri
        disk.start_ready()
        self.check_all_operations(disk)
        disk.call('close')
        disk.process.wait(20)
        server.process.stop()
        raw = disk.path('raw')
        subprocess.run(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw',
                        image, raw], check=True)
        self.assertEqual(self.contents(raw, 512, 512), pattern(2, 512))
        self.assertEqual(self.contents(raw, 65536, 4096), pattern(1))

    def test_tcp_and_names_of_exports_work(self):
        disk = Disk(self, size=SIZE)
        port = spawn.free_port()
        process = spawn.Process(
            ['nbdkit', '-f', '-i', '127.0.0.1', '-p', str(port), 'memory',
             str(SIZE)], disk.path('tcp.log'))
        self.addCleanup(process.kill)
        disk.config['backend'] = f'nbd://localhost:{port}/any'
        disk.start_ready()
        self.check_all_operations(disk)


class Tls(Case):

    def test_tls_is_that_of_an_nbdkit_in_between(self):
        disk, server = self.disk('--tls=require', 'memory', str(SIZE))
        keys = disk.path('keys.psk')
        with open(keys, 'w', encoding='utf-8') as file:
            file.write('forebay:' + '5a' * 32 + '\n')
        plain = server.argv
        server.argv = lambda socket: plain(socket)[:-2] + [
            '--tls-psk=' + keys] + plain(socket)[-2:]
        server.start()
        between = nbdkit(self, disk.folder, 'nbd',
                         f'socket={server.socket}', 'tls=require',
                         f'tls-psk={keys}', 'tls-username=forebay',
                         name='between').start()
        disk.config['backend'] = between.uri
        self.check_all_operations(disk.start_ready())


class Errors(Case):

    def test_an_error_of_the_server_is_passed_up(self):
        for code, number in (('EIO', 5), ('ENOSPC', 28)):
            with self.subTest(code):
                disk = self.ready('--filter=error', 'memory', str(SIZE),
                                  'error-pwrite=' + code,
                                  'error-pwrite-rate=100%')
                handle = disk.nbd()
                with self.assertRaises(nbd.Error) as raised:
                    handle.pwrite(pattern(1), 0)
                self.assertEqual(raised.exception.errnum, number)
                self.assertEqual(handle.pread(512, 0), bytes(512))

    def test_every_error_among_many_requests_is_noticed(self):
        disk = self.ready('--filter=error', 'memory', str(SIZE),
                          'error-rate=50%')
        handle = disk.nbd()
        results = []
        for number in range(64):
            handle.aio_pwrite(nbd.Buffer.from_bytearray(
                bytearray(pattern(number))), number * 4096,
                completion=lambda error: results.append(error.value) or 1)
        while len(results) < 64:
            handle.poll(1000)
        failed = sum(1 for value in results if value)
        self.assertEqual(disk.call('stats')['requests']['write']['errors'],
                         failed)
        self.assertTrue(0 < failed < 64, failed)

    def test_large_blocks_are_refused_with_words(self):
        disk, server = self.disk('--filter=blocksize-policy', 'memory',
                                 str(SIZE), 'blocksize-minimum=4096',
                                 'blocksize-preferred=4096')
        server.start()
        self.assertIn('at least 4096 bytes', disk.start_failing())

    def test_an_export_that_the_server_does_not_have_is_named(self):
        if not shutil.which('qemu-storage-daemon'):
            self.skipTest('qemu-storage-daemon is not installed')
        disk = Disk(self, size=SIZE)
        image = disk.path('q.qcow2')
        make_qcow2(image, SIZE)
        server = storage_daemon(self, disk.folder, image).start()
        disk.config['backend'] = \
            f'nbd+unix:///wrong?socket={server.socket}'
        disk.start()
        while True:
            state = disk.next_state()
            self.assertEqual(state['state'], 'opening', state)
            if 'waiting' in state['reason']:
                break
        self.assertIn("'wrong'", state['reason'])

    def test_an_odd_size_is_refused_with_words(self):
        disk, server = self.disk('memory', '1000')
        server.start()
        self.assertIn('multiple of 512', disk.start_failing())


if __name__ == '__main__':
    tap.main()
