# SPDX-License-Identifier: Apache-2.0
"""The filter trace in a real, sandboxed disk, and forebay-trace.

What is in a file is read twice: by forebay-trace, and by a reader here that
knows the description in docs/filters/trace.md alone.
"""

import glob
import json
import os
import signal
import struct
import subprocess
import time
import unittest

import nbd

import spawn
import tap
from disk_process import BUILD, MIB, SECONDS, Disk, filter_entry, pattern

PROGRAM = os.path.join(BUILD, 'src/trace/forebay-trace')
NAMES = ('read', 'write', 'flush', 'discard', 'write-zeroes', 'extents',
         'cache')
HEAD = struct.Struct('<8sIIQIIQQQQ16s16s')


class Numbers:
    """Groups of 7 bits, the lowest first."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def number(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7f) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def signed(self):
        value = self.number()
        return -(value >> 1) - 1 if value & 1 else value >> 1


def read_block(data):
    (magic, version, _, _, used, count, base, _, _, _, _, zeros) = \
        HEAD.unpack_from(data)
    assert magic == b'FBTRACE\0' and version == 1 and not any(zeros)
    numbers = Numbers(data[HEAD.size:used])
    begin, end = base, 0
    for _ in range(count):
        first = numbers.byte()
        begin += numbers.signed()
        numbers.number()
        offset = length = errno = 0
        if first & 7 != 2:
            sector = end + numbers.signed()
            length = numbers.number()
            end = sector + length
            offset = sector * 512
        if first & 0x40:
            errno = numbers.number()
        yield NAMES[first & 7], offset, length * 512, errno
    assert numbers.at == used - HEAD.size
    assert not any(data[used:-used % 4096 + used])


def read_file(path):
    """(operation, offset, length, errno) of each record."""
    with open(path, 'rb') as file:
        data = file.read()
    at = 0
    records = []
    while at < len(data):
        used = struct.unpack_from('<I', data, at + 24)[0]
        records += read_block(data[at:at + 65536])
        at += -(-used // 4096) * 4096
    return records


class Trace(unittest.TestCase):

    def setUp(self):
        self.folder = spawn.folder(self)
        self.work = os.path.join(self.folder, 'traces')
        os.mkdir(self.work)

    def disk(self, *more, **properties):
        properties.setdefault('folder', self.work)
        disk = Disk(self, [*more, filter_entry('trace', **properties)],
                    folder=spawn.folder(self))
        return disk.start_ready()

    def connect(self, disk):
        handle = nbd.NBD()
        handle.set_export_name('db1')
        handle.connect_unix(disk.config['exports']['nbd']['socket'])
        return handle

    def close(self, disk):
        disk.process.popen.send_signal(signal.SIGTERM)
        self.assertEqual(disk.process.wait(SECONDS), 0,
                         disk.process.output())

    def files(self):
        return sorted(glob.glob(self.work + '/*'))

    def status(self, disk, link=None):
        filters = disk.call('stats', link)['filters']
        return next(entry['status'] for entry in filters
                    if entry['name'] == 'trace')

    def run_tool(self, *words):
        return subprocess.run([PROGRAM, *map(str, words)],
                              capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=SECONDS)

    def tool(self, *words):
        done = self.run_tool(*words)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return done.stdout

    def printed(self, path):
        """What forebay-trace prints, in the form of read_file()."""
        records = []
        for line in self.tool('print', path).splitlines()[1:]:
            words = line.split()
            records.append((words[1], int(words[2]), int(words[3]),
                            int(words[5])))
        return records

    def both(self, path):
        records = read_file(path)
        self.assertEqual(self.printed(path), records)
        return records

    def write_some(self, disk):
        """One after the other, so that their order is known."""
        handle = self.connect(disk)
        handle.pwrite(pattern(1), 0)
        handle.pwrite(pattern(2, 8192), 4096, nbd.CMD_FLAG_FUA)
        handle.pread(512, 5 * MIB)
        handle.flush()
        handle.zero(65536, MIB)
        handle.trim(65536, 2 * MIB)
        handle.shutdown()
        return [('write', 0, 4096, 0), ('write', 4096, 8192, 0),
                ('read', 5 * MIB, 512, 0), ('flush', 0, 0, 0),
                ('write-zeroes', MIB, 65536, 0),
                ('discard', 2 * MIB, 65536, 0)]

    # ---- the filter ----------------------------------------------------

    def test_what_a_client_asks_for_is_in_the_file(self):
        disk = self.disk()
        wanted = self.write_some(disk)
        self.assertEqual(self.status(disk)['records'], len(wanted))
        self.close(disk)
        path, = self.files()
        self.assertRegex(os.path.basename(path),
                         r'^db1-\d{8}T\d{6}Z\.trace$')
        self.assertEqual(self.both(path), wanted)

    def test_what_fails_is_recorded_with_its_error(self):
        # Of two filters of a class the first is nearer to the client.
        disk = Disk(self, [filter_entry('trace', folder=self.work),
                           filter_entry('fault', rules='error ENOSPC on '
                                        'write')],
                    folder=spawn.folder(self)).start_ready()
        handle = self.connect(disk)
        with self.assertRaises(nbd.Error):
            handle.pwrite(pattern(1), 8192)
        handle.shutdown()
        self.close(disk)
        self.assertEqual(self.both(self.files()[0]),
                         [('write', 8192, 4096, 28)])

    def test_a_killed_disk_has_all_but_its_last_moments(self):
        disk = self.disk()
        wanted = self.write_some(disk)
        path, = self.files()
        spawn.wait_until(lambda: os.path.getsize(path) > 0, SECONDS,
                         'what has waited is written')
        disk.process.kill()
        self.assertEqual(self.both(path), wanted)

    def test_each_process_has_a_file_of_its_own(self):
        for count in (1, 2):
            disk = self.disk()
            self.write_some(disk)
            self.close(disk)
            self.assertEqual(len(self.files()), count)

    def test_no_file_is_ever_overwritten(self):
        disk = self.disk()
        name = os.path.basename(self.files()[0])
        self.close(disk)
        before = os.stat(os.path.join(self.work, name))
        self.close(self.disk())
        after = os.stat(os.path.join(self.work, name))
        self.assertEqual((before.st_ino, before.st_mtime_ns),
                         (after.st_ino, after.st_mtime_ns))

    def test_a_disk_that_grows_goes_on_in_its_file(self):
        disk = self.disk()
        before = self.write_some(disk)
        disk.config.update(size_bytes=128 * MIB, grow=True)
        with open(disk.path('config.json'), 'w', encoding='utf-8') as file:
            json.dump(disk.config, file)
        disk.call('resize', size_bytes=128 * MIB)
        after = self.write_some(disk)
        self.close(disk)
        path, = self.files()
        self.assertEqual(self.both(path), before + after)
        summary = json.loads(self.tool('summary', path, '--json'))
        self.assertEqual(summary['disk_bytes'], 128 * MIB)

    def test_a_parked_disk_has_its_file_before_its_doors_close(self):
        disk = Disk(self, [filter_entry('trace', folder=self.work)],
                    folder=spawn.folder(self))
        disk.arguments = ['--incoming']
        disk.start()
        while disk.next_state()['state'] != 'incoming':
            pass
        self.assertEqual(len(self.files()), 1)
        self.close(disk)

    def test_without_a_folder_nothing_is_recorded(self):
        disk = self.disk(folder='')
        self.write_some(disk)
        self.assertEqual(self.status(disk)['state'], 'idle')
        self.assertEqual(self.files(), [])
        self.close(disk)

    def test_a_folder_that_is_not_there_refuses_the_open(self):
        for folder, words in (
                ('/nowhere/at/all', 'filter trace: its folder: /nowhere/at/'
                                    'all/db1-'),
                ('traces', "filter trace: its folder: folder 'traces' isn't "
                           'an absolute path')):
            disk = Disk(self, [filter_entry('trace', folder=folder)],
                        folder=spawn.folder(self))
            self.assertIn(words, disk.start_failing())

    def test_at_its_limit_recording_ends_and_the_disk_goes_on(self):
        disk = self.disk(limit='1MiB')
        handle = self.connect(disk)
        wanted = 1 << 20
        sent = 0
        # A record takes some bytes: more than there is room for.
        link = disk.connect()
        while self.status(disk, link)['state'] == 'recording':
            cookies = [handle.aio_pread(nbd.Buffer(512), i % 1000 * 512)
                       for i in range(sent, sent + 4000)]
            for cookie in cookies:
                while not handle.aio_command_completed(cookie):
                    handle.poll(-1)
            sent += len(cookies)
        status = self.status(disk)
        self.assertEqual(status['state'], 'full')
        handle.pread(4096, 0)
        status = self.status(disk)
        self.assertGreater(status['lost'], 0)
        self.assertEqual(status['records'] + status['lost'], sent + 1)
        handle.shutdown()
        self.close(disk)
        path, = self.files()
        self.assertLessEqual(os.path.getsize(path), wanted)
        summary = json.loads(self.tool('summary', path, '--json'))
        self.assertEqual(summary['records'], status['records'])

    # ---- the tool ------------------------------------------------------

    def recorded(self):
        disk = self.disk()
        wanted = self.write_some(disk)
        self.close(disk)
        path, = self.files()
        return path, wanted

    def test_a_summary_counts_each_operation(self):
        path, _ = self.recorded()
        summary = json.loads(self.tool('summary', path, '--json'))
        writes = summary['operations']['write']
        self.assertEqual((writes['requests'], writes['bytes'],
                          writes['sequential'], writes['errors']),
                         (2, 12288, 1, 0))
        self.assertGreater(writes['latency_us']['max'], 0)
        self.assertEqual(summary['disk_bytes'], 64 * MIB)
        self.assertEqual((summary['lost'], summary['damaged_bytes']), (0, 0))
        self.assertIn('6 requests in ', self.tool('summary', path))

    def test_a_damaged_block_is_passed_over_and_told(self):
        path, wanted = self.recorded()
        with open(path, 'rb') as file:
            data = file.read()
        self.assertEqual(len(data), 4096)
        damaged = bytearray(data)
        damaged[100] ^= 1
        other = os.path.join(self.folder, 'damaged')
        with open(other, 'wb') as file:
            # The end is cut, as a kill may leave it.
            file.write(damaged + data + data[:50])
        self.assertEqual(self.printed(other), wanted)
        summary = json.loads(self.tool('summary', other, '--json'))
        self.assertEqual(summary['damaged_bytes'], 4096 + 50)

    def test_what_is_no_trace_is_refused(self):
        empty = os.path.join(self.folder, 'empty')
        with open(empty, 'wb'):
            pass
        for path, words in ((empty, 'it is no file, or empty'),
                            (PROGRAM, 'there is no block in it'),
                            ('/nowhere', 'No such file')):
            done = self.run_tool('summary', path)
            self.assertEqual((done.returncode, done.stderr.count('\n')),
                             (1, 1))
            self.assertIn(words, done.stderr)

    def replay_on(self, disk, path, *words):
        return self.run_tool('replay', path, '--nbd',
                             'nbd+unix:///db1?socket='
                             + disk.config['exports']['nbd']['socket'], *words)

    def test_a_replay_asks_for_the_same(self):
        path, wanted = self.recorded()
        os.rename(path, os.path.join(self.folder, 'first'))
        path = os.path.join(self.folder, 'first')
        disk = self.disk()
        done = self.replay_on(disk, path, '--depth', 1, '--destroy-data')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        report = json.loads(done.stdout)
        self.assertEqual((report['errors'], report['skipped']), (0, 0))
        self.assertEqual(report['requests'], {
            'read': 1, 'write': 2, 'flush': 1, 'discard': 1,
            'write-zeroes': 1})
        self.close(disk)
        self.assertEqual(self.both(self.files()[0]), wanted)

    def test_a_replay_goes_to_a_vhost_user_device_too(self):
        path, _ = self.recorded()
        disk = self.disk(folder='')
        report = json.loads(self.tool(
            'replay', path, '--vhost-user',
            disk.config['exports']['vhost_user_blk']['socket'], '--as-fast',
            '--destroy-data'))
        self.assertEqual(report['errors'], 0)
        self.assertEqual(sum(report['requests'].values()), 6)
        self.close(disk)

    def test_a_replay_takes_its_time_or_not(self):
        disk = self.disk()
        handle = self.connect(disk)
        handle.pread(512, 0)
        time.sleep(0.5)
        handle.pread(512, 0)
        handle.shutdown()
        self.close(disk)
        path, = self.files()
        disk = self.disk(folder='')
        seconds = [json.loads(self.replay_on(disk, path, *words).stdout)[
            'seconds'] for words in ((), ('--speed', 2))]
        self.assertGreaterEqual(seconds[0], 0.5)
        self.assertGreaterEqual(seconds[1], 0.25)
        at_once = json.loads(self.replay_on(disk, path, '--as-fast').stdout)
        self.assertEqual(at_once['requests']['read'], 2)
        self.assertLess(at_once['late_us'], 1)
        self.close(disk)

    def test_a_replay_destroys_nothing_unless_told(self):
        path, _ = self.recorded()
        disk = self.disk(folder='')
        done = self.replay_on(disk, path)
        self.assertEqual(done.returncode, 1)
        self.assertIn('--destroy-data', done.stderr)
        self.close(disk)
        with open(disk.image, 'rb') as image:
            data = image.read()
        self.assertEqual(data.count(0), len(data))

    def test_a_disk_that_is_too_small_is_refused_before_the_first_request(
            self):
        path, _ = self.recorded()
        disk = Disk(self, size=MIB, folder=spawn.folder(self)).start_ready()
        done = self.replay_on(disk, path, '--destroy-data')
        self.assertEqual(done.returncode, 1)
        self.assertIn(f'has {MIB} bytes, and the trace reaches to '
                      f'{5 * MIB + 512}', done.stderr)
        self.close(disk)
        with open(disk.image, 'rb') as image:
            data = image.read()
        self.assertEqual(data.count(0), len(data))

    def test_wrong_arguments_are_refused(self):
        for words in ((), ('summary',), ('erase', 'x'), ('replay', 'x'),
                      ('replay', 'x', '--nbd', 'a', '--nbd', 'b'),
                      ('replay', 'x', '--nbd', 'a', '--speed', '0'),
                      ('replay', 'x', '--nbd', 'a', '--depth', '1025'),
                      ('summary', 'x', '--no-such')):
            self.assertEqual(self.run_tool(*words).returncode, 2, words)


if __name__ == '__main__':
    tap.main()
