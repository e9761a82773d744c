# SPDX-License-Identifier: Apache-2.0
"""forebay disk rescue, over cache files that a real engine left behind.

make_cache_file tells what a guest would have read; format_reader.py, which
knows the page about the format and nothing else, where the copies are.
"""

import fcntl
import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import unittest

import format_reader
import spawn
import tap
from forebay import TOP

BUILD = os.environ['FOREBAY_BUILD']
FOREBAY = os.path.join(BUILD, 'src/cli/forebay')
MAKER = os.path.join(BUILD, 'tests/engine/make_cache_file')
UUID = b'a disk of a test'
BLOCK = format_reader.BLOCK
SECTOR = format_reader.SECTOR
DAMAGED = {'bad_durable_header', 'needed_superblock_bad'}
BLANK = {'blank_file'}
LOCK = struct.pack('hhqqi4x', fcntl.F_RDLCK, os.SEEK_SET, 101, 1, 0)


def story_names():
    return subprocess.run([MAKER], check=True, capture_output=True, text=True,
                          timeout=60).stdout.split()


def contents(path):
    with open(path, 'rb') as file:
        return file.read()


def blocks(*numbers):
    """The sectors of blocks."""
    return {block * 8 + i for block in numbers for i in range(8)}


def sectors(ranges):
    return {first for entry in ranges
            for first in range(entry['first_sector'],
                               entry['first_sector'] + entry['sector_count'])}


class RescueTest(unittest.TestCase):

    def setUp(self):
        self.folder = spawn.folder(self)
        self.cache = self.path('cache')
        self.backend = self.path('backend')
        self.out = self.path('out')

    def path(self, name):
        return os.path.join(self.folder, name)

    def live(self, story):
        """Makes the files; returns what the engine said of them."""
        printed = subprocess.run([MAKER, story, self.folder], check=True,
                                 capture_output=True, text=True, timeout=60)
        return [line for line in printed.stdout.splitlines()
                if not line.startswith('#')]

    def run_rescue(self, *words, **options):
        options.setdefault('stdout', subprocess.PIPE)
        return subprocess.run([FOREBAY, 'disk', 'rescue', *words],
                              stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False, timeout=60,
                              **options)

    def rescue(self, *words, code=0, says=''):
        """The report of a rescue that ends with @code."""
        done = self.run_rescue(*words, '-o', 'json')
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(says, done.stderr.decode())
        return json.loads(done.stdout) if done.stdout else None

    def refused(self, code, says, *words, **options):
        """Ends with one line and nothing else."""
        done = self.run_rescue(*words, **options)
        self.assertEqual(done.returncode, code, done.stderr)
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(says, lines[0])

    def extract(self, *words, **options):
        return self.rescue('extract', self.cache, '--to', self.out, *words,
                           **options)

    def copies(self):
        return format_reader.read(self.cache, UUID).copies

    def change(self, offset, data):
        with open(self.cache, 'r+b') as file:
            file.seek(offset)
            file.write(data)

    def flip(self, offset):
        self.change(offset, bytes([contents(self.cache)[offset] ^ 1]))

    def header_of(self, sequence):
        """Where a record's header stands."""
        data = contents(self.cache)
        return next(at for at in range(0, len(data), BLOCK)
                    if data[at:at + 8] == b'FRECRD01' and
                    struct.unpack_from('<Q', data, at + 48)[0] == sequence)

    def offset_of(self, block):
        """Where the data of a block's newest copy stand."""
        record = self.copies()[block].record
        place = next(entry.data_block + block - entry.first
                     for entry in record.entries
                     if entry.first <= block < entry.first + entry.count)
        header = contents(self.cache).index(record.header)
        return header + (1 + place) * BLOCK

    def damage(self, block):
        self.flip(self.offset_of(block) + 99)


class WholeFiles(RescueTest):

    def test_over_the_backend_it_is_what_a_guest_reads(self):
        for name in story_names():
            if name in DAMAGED | BLANK:
                continue
            with self.subTest(story=name):
                lost = {int(line.split()[1])
                        for line in self.live(name)[1:]}
                report = self.extract('--base', self.backend,
                                      code=1 if lost else 0)
                self.assertEqual(sectors(report['bad']), blocks(*lost))
                disk = contents(self.path('disk'))
                backend = contents(self.backend)
                out = contents(self.out)
                self.assertEqual(len(out), len(disk))
                for block in range(len(disk) // BLOCK):
                    at = slice(block * BLOCK, (block + 1) * BLOCK)
                    wanted = backend if block in lost else disk
                    self.assertTrue(out[at] == wanted[at], f'block {block}')
                os.unlink(self.out)

    def test_the_list_is_what_a_reader_of_the_page_finds(self):
        for name in story_names():
            if name in DAMAGED | BLANK:
                continue
            with self.subTest(story=name):
                self.live(name)
                report = self.rescue('list', self.cache)
                cache = format_reader.read(self.cache, UUID)
                dirty = cache.dirty_blocks()
                lost = sum(copy.lost for copy in cache.copies.values())
                self.assertEqual(
                    (report['state'], report['reason'], report['disk'],
                     report['disk_bytes'], report['last_sequence'],
                     report['tail_sequence'], report['dirty_bytes'],
                     report['clean_bytes'], report['lost_bytes']),
                    ('whole', None, '61206469-736b-206f-6620-612074657374',
                     cache.superblock.disk_bytes, cache.cut, cache.tail,
                     dirty * BLOCK, (len(cache.copies) - dirty) * BLOCK,
                     lost * BLOCK))
                self.assertEqual(
                    [(row['epoch'], row['incarnation'], row['first_sequence'],
                      row['last_sequence']) for row in report['rows']],
                    [(row.epoch, row.incarnation, row.first,
                      None if row.last == format_reader.OPEN else row.last)
                     for row in cache.superblock.rows])

    def test_nothing_changes_the_cache_file(self):
        for name in ('round_the_circle', 'bad_durable_header', 'torn_data'):
            self.live(name)
            before = hashlib.sha256(contents(self.cache)).digest()
            time = os.stat(self.cache).st_mtime_ns
            for action in ('list', 'check'):
                self.run_rescue(action, self.cache)
            self.run_rescue('extract', self.cache, '--to', self.out,
                            '--salvage')
            os.unlink(self.out)
            self.assertEqual(hashlib.sha256(contents(self.cache)).digest(),
                             before)
            self.assertEqual(os.stat(self.cache).st_mtime_ns, time)

    def test_a_stream_is_the_image(self):
        self.live('part_blocks')
        self.extract('--base', self.backend)
        done = self.run_rescue('extract', self.cache, '--base', self.backend,
                               '--to', '-')
        self.assertEqual((done.returncode, done.stderr), (0, b''))
        self.assertTrue(done.stdout == contents(self.out))

    def test_without_a_base_it_is_what_the_cache_has_and_zeros(self):
        self.live('clean_and_filled')
        copies = self.copies()
        dirty = [block for block, copy in copies.items() if copy.dirty]
        self.assertTrue(0 < len(dirty) < len(copies))
        report = self.extract()
        self.assertEqual(report['good_clean_bytes'],
                         (len(copies) - len(dirty)) * BLOCK)
        wanted = bytearray(report['disk_bytes'])
        for block, copy in copies.items():
            wanted[block * BLOCK:(block + 1) * BLOCK] = copy.data
        self.assertTrue(contents(self.out) == wanted)
        done = self.run_rescue('extract', self.cache, '--to', '-')
        self.assertTrue(done.stdout == wanted)
        self.assertLess(os.stat(self.out).st_blocks * 512, len(wanted))

    def test_dirty_only_leaves_out_what_the_backend_has(self):
        self.live('clean_and_filled')
        report = self.extract('--dirty-only')
        wanted = bytearray(report['disk_bytes'])
        for block, copy in self.copies().items():
            if copy.dirty:
                wanted[block * BLOCK:(block + 1) * BLOCK] = copy.data
        self.assertEqual(report['good_clean_bytes'], 0)
        self.assertTrue(contents(self.out) == wanted)

    def test_in_place_only_what_is_dirty_changes(self):
        self.live('clean_and_filled')
        shutil.copy(self.backend, self.out)
        report = self.extract('--in-place')
        self.assertGreater(report['good_dirty_bytes'], 0)
        self.assertTrue(contents(self.out) == contents(self.path('disk')))

    def test_holes_of_a_base_stay_holes(self):
        self.live('writes')
        with open(self.path('large'), 'wb') as file:
            file.write(contents(self.backend))
            file.truncate(1 << 30)
        self.extract('--base', self.path('large'))
        self.assertEqual(os.stat(self.out).st_size, 1 << 30)
        self.assertLess(os.stat(self.out).st_blocks * 512, 4 << 20)
        disk = contents(self.path('disk'))
        with open(self.out, 'rb') as file:
            self.assertTrue(file.read(len(disk)) == disk)

    def test_a_disk_may_end_inside_of_a_block(self):
        self.live('writes')
        size = 138 * BLOCK + 3 * SECTOR
        with open(self.cache, 'r+b') as file:
            for copy in (0, 1):
                file.seek(copy * 65536)
                data = bytearray(file.read(65536))
                if data[:8] == bytes(8):
                    continue
                # A write has blocks 136 to 138; 153 is outside then.
                struct.pack_into('<Q', data, 40, size)
                data[8:12] = struct.pack('<I', format_reader.crc(
                    bytes(data[:8]), bytes(4), bytes(data[12:])))
                file.seek(copy * 65536)
                file.write(data)
        self.extract()
        self.assertEqual(os.stat(self.out).st_size, size)
        self.assertTrue(contents(self.out)[136 * BLOCK:] ==
                        b'i' * (size - 136 * BLOCK))

    def test_the_man_page_names_every_member_of_a_report(self):
        with open(os.path.join(TOP, 'man/forebay-disk.1.scd'),
                  encoding='utf-8') as file:
            page = file.read()
        page = page[page.index('With *-o json*'):page.index('# EXAMPLES')]
        self.live('bad_dirty_block')
        members = set(self.rescue('list', self.cache))
        members |= set(self.rescue('check', self.cache, code=1))
        report = self.extract(code=1)
        members |= set(report) | set(report['bad'][0])
        self.assertGreater(len(members), 20)
        for member in members:
            self.assertIn(f'*{member}*', page)

    def test_zeroes_are_given_as_zeros(self):
        self.live('zeroed')
        report = self.rescue('list', self.cache)
        zeros = sum(isinstance(copy, format_reader.Zeros)
                    for copy in self.copies().values())
        self.assertGreater(zeros, 90)
        self.assertEqual(report['zero_bytes'], zeros * BLOCK)
        done = self.run_rescue('extract', self.cache, '--base', self.backend,
                               '--to', '-')
        self.assertTrue(done.stdout == contents(self.path('disk')))
        shutil.copy(self.backend, self.out)
        self.extract('--in-place')
        self.assertTrue(contents(self.out) == contents(self.path('disk')))

    def test_people_get_tables(self):
        self.live('bad_dirty_block')
        done = self.run_rescue('list', self.cache)
        self.assertRegex(done.stdout.decode(), r'(?m)^state +whole$')
        self.assertRegex(done.stdout.decode(), r'(?m)^dirty \(bytes\) +81920$')
        done = self.run_rescue('check', self.cache)
        self.assertRegex(done.stdout.decode(), r'(?m)^408 +8 +damaged +yes$')


class DamagedData(RescueTest):

    def test_check_names_the_sectors_of_each_bad_block(self):
        # They are flushed: else the log would end before the first of them.
        self.live('bad_dirty_block')
        copies = self.copies()
        for block in (17, 18, 34):
            self.damage(block)
        report = self.rescue('check', self.cache, code=1, says='dirty')
        self.assertEqual(sectors(report['bad']), blocks(17, 18, 34, 51))
        self.assertEqual({entry['fault'] for entry in report['bad']},
                         {'damaged'})
        self.assertTrue(all(entry['dirty'] for entry in report['bad']))
        self.assertEqual(report['bad_dirty_bytes'], 4 * BLOCK)
        self.assertEqual(report['good_dirty_bytes'],
                         (len(copies) - 4) * BLOCK)

    def test_a_bad_clean_block_is_told_and_no_failure(self):
        self.live('clean_and_filled')
        self.damage(34)
        report = self.rescue('check', self.cache)
        self.assertEqual(sectors(report['bad']), blocks(34))
        self.assertFalse(report['bad'][0]['dirty'])
        self.assertEqual(report['bad_clean_bytes'], BLOCK)
        self.extract('--base', self.backend)
        self.assertTrue(contents(self.out) == contents(self.path('disk')))

    def test_a_header_that_only_a_summary_has_is_told(self):
        self.live('closed_in_order')
        self.assertNotIn('headers', self.rescue('check', self.cache))
        sequence = self.rescue('list', self.cache)['tail_sequence'] + 2
        self.flip(self.header_of(sequence) + 80)
        report = self.rescue('check', self.cache)
        self.assertEqual((report['state'], report['bad']), ('whole', []))
        self.assertIn('missing', report['headers'])

    def test_what_cannot_be_given_keeps_what_lies_below_it(self):
        self.live('bad_dirty_block')
        report = self.extract('--base', self.backend, code=1, says='4KiB')
        self.assertEqual(sectors(report['bad']), blocks(51))
        out = contents(self.out)
        self.assertTrue(out[51 * BLOCK:52 * BLOCK] ==
                        contents(self.backend)[51 * BLOCK:52 * BLOCK])
        self.assertTrue(out[52 * BLOCK:53 * BLOCK] ==
                        contents(self.path('disk'))[52 * BLOCK:53 * BLOCK])

    def test_a_stream_tells_them_on_standard_error(self):
        self.live('bad_dirty_block')
        done = self.run_rescue('extract', self.cache, '--to', '-')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stdout), 1 << 20)
        self.assertIn(b'not given: sectors 408 to 415: damaged, dirty\n',
                      done.stderr)

    def test_a_block_that_the_disk_gave_up_is_told(self):
        self.live('lost_and_moved_up')
        report = self.rescue('check', self.cache, code=1)
        self.assertEqual(report['bad'], [{
            'first_sector': 24, 'sector_count': 8, 'fault': 'lost',
            'dirty': True}])


class DamagedLogs(RescueTest):

    def test_a_start_that_refuses_is_told_with_what_is_left(self):
        for name in DAMAGED:
            self.live(name)
            report = self.rescue('list', self.cache, code=1, says='log' if
                                 name == 'bad_durable_header'
                                 else 'superblock')
            self.assertEqual(report['state'], 'damaged')
            self.assertGreater(report['dirty_bytes'], 0)

    def test_extract_gives_it_only_on_demand(self):
        self.live('bad_durable_header')
        self.refused(1, '--salvage', 'extract', self.cache, '--to', self.out)
        self.assertFalse(os.path.exists(self.out))

    def test_salvage_gives_all_but_the_missing_record(self):
        self.live('bad_durable_header')
        report = self.extract('--base', self.backend, '--salvage', code=1)
        self.assertEqual(report['missing_records'],
                         [{'first_sequence': 5, 'last_sequence': 5}])
        # As it was before its header was damaged.
        self.flip(self.header_of(5) + 80)
        wanted = bytearray(contents(self.backend))
        older = set()
        for block, copy in self.copies().items():
            if copy.record.sequence != 5:
                wanted[block * BLOCK:(block + 1) * BLOCK] = copy.data
            if copy.record.sequence < 5:
                older.add(block)
        self.assertTrue(contents(self.out) == wanted)
        # What is older may have had a successor in it.
        self.assertGreater(len(older), 3)
        self.assertEqual(sectors(report['doubtful']), blocks(*older))

    def test_salvage_does_without_superblocks(self):
        self.live('several_incarnations')
        before = self.rescue('list', self.cache)
        self.extract('--base', self.backend)
        wanted = contents(self.out)
        os.unlink(self.out)
        self.change(0, os.urandom(2 * 65536))
        report = self.extract('--base', self.backend, '--salvage', code=1,
                              says='superblock')
        self.assertEqual(report['disk'], before['disk'])
        self.assertEqual(report['missing_records'], [])
        self.assertTrue(contents(self.out) == wanted)
        # Without a base nobody knows the disk's size.
        os.unlink(self.out)
        report = self.extract('--salvage', code=1)
        self.assertEqual(contents(self.out), wanted[:report['dirty_bytes']])

    def test_salvage_gives_what_is_left_of_a_file_that_was_cut(self):
        self.live('writes')
        copies = self.copies()
        # The third segment and what follows are gone.
        end = (32 + 2 * 8) * BLOCK
        there = [block for block, copy in copies.items()
                 if self.header_of(copy.record.sequence) < end]
        self.assertTrue(3 < len(there) < len(copies) - 3)
        os.truncate(self.cache, end)
        self.refused(1, 'was cut', 'extract', self.cache, '--to', self.out)
        report = self.extract('--base', self.backend, '--salvage', code=1)
        wanted = bytearray(contents(self.backend))
        for block in there:
            wanted[block * BLOCK:(block + 1) * BLOCK] = copies[block].data
        self.assertTrue(contents(self.out) == wanted)
        self.assertEqual(report['good_dirty_bytes'], len(there) * BLOCK)

    def test_of_a_file_with_nothing_but_superblocks_nothing_is_left(self):
        self.live('bad_dirty_block')
        os.truncate(self.cache, 32 * BLOCK)
        report = self.extract('--base', self.backend, '--salvage', code=1)
        self.assertEqual(report['good_dirty_bytes'], 0)
        self.assertTrue(contents(self.out) == contents(self.backend))


class AnyDamage(RescueTest):
    """Random blocks of a file are spoilt, and what is given is compared with
    the whole file. Nothing may be wrong in silence."""

    STORIES = ('round_the_circle', 'summaries', 'bad_dirty_block',
               'killed_under_way', 'several_incarnations', 'amended',
               'zeroed', 'zeroed_and_destaged')
    ROUNDS = 12

    def spoil(self, dice, whole):
        data = bytearray(whole)
        count = len(data) // BLOCK
        for _ in range(dice.randint(1, 4)):
            # Mostly in the log; the first 32 blocks are superblocks.
            block = dice.randrange(0 if dice.random() < 0.1 else 32, count)
            at = slice(block * BLOCK, (block + 1) * BLOCK)
            other = dice.randrange(32, count) * BLOCK
            bit = at.start + dice.randrange(BLOCK)
            kind = dice.randrange(3)
            if kind == 0:
                data[at] = bytes(BLOCK)
            elif kind == 1:
                data[at] = data[other:other + BLOCK]
            else:
                data[bit] ^= 1 << dice.randrange(8)
        with open(self.cache, 'wb') as file:
            file.write(data)

    def lay(self, records, cut):
        """The image as the records up to @cut have it, and each block's."""
        cache = format_reader.Cache.__new__(format_reader.Cache)
        cache.copies = {}
        for record in records:
            if record.sequence <= cut:
                cache.apply(record)
        dirty = {block: copy for block, copy in cache.copies.items()
                 if copy.dirty}
        cache.copies = dirty
        image, lost = cache.lay_over(contents(self.backend))
        return image, lost, dirty

    def judge(self, report, records):
        wanted, lost, dirty = self.lay(records, report['last_sequence'])
        out = contents(self.out)
        backend = contents(self.backend)
        told = sectors(report['bad']) | sectors(report['doubtful'])
        missing = {sequence for gap in report['missing_records']
                   for sequence in range(gap['first_sequence'],
                                         gap['last_sequence'] + 1)}
        for block in range(len(wanted) // BLOCK):
            at = slice(block * BLOCK, (block + 1) * BLOCK)
            if out[at] == wanted[at]:
                continue
            # Not given: what should be is in a record that is missing.
            told_so = blocks(block) & told or block in lost or (
                out[at] == backend[at] and block in dirty and
                dirty[block].record.sequence in missing)
            self.assertTrue(told_so, f'block {block}: {report}')

    def test_nothing_that_salvage_gives_is_wrong_in_silence(self):
        dice = random.Random(5)
        given = spoilt = 0
        for story in self.STORIES:
            self.live(story)
            whole = contents(self.cache)
            records = format_reader.read(self.cache, UUID).find_records()
            for turn in range(self.ROUNDS):
                with self.subTest(story=story, turn=turn):
                    self.spoil(dice, whole)
                    done = self.run_rescue(
                        'extract', self.cache, '--base', self.backend, '--to',
                        self.out, '--salvage', '-o', 'json')
                    self.assertIn(done.returncode, (0, 1), done.stderr)
                    report = json.loads(done.stdout)
                    self.judge(report, records)
                    given += report['good_dirty_bytes'] > 0
                    spoilt += report['state'] == 'damaged'
                    os.unlink(self.out)
        # Else it would be about nothing.
        self.assertGreater(given, 30)
        self.assertGreater(spoilt, 10)


class Refusals(RescueTest):

    def test_what_is_no_cache_file_is_said_to_be_none(self):
        with open(self.cache, 'wb') as file:
            file.write(os.urandom(1 << 20))
        for action in ('list', 'check'):
            self.refused(1, 'no cache file', action, self.cache)
        with open(self.cache, 'wb') as file:
            file.write(b'name: gold\n')
        self.refused(1, 'no cache file', 'list', self.cache)
        os.truncate(self.cache, 0)
        self.refused(1, 'is empty', 'list', self.cache)
        self.refused(3, 'No such file', 'list', self.path('none'))
        self.refused(2, 'neither a file', 'list', self.folder)
        os.mkfifo(self.path('pipe'))
        self.refused(2, 'neither a file', 'list', self.path('pipe'))

    def test_of_a_blank_file_it_says_so(self):
        self.live('blank_file')
        report = self.rescue('list', self.cache)
        self.assertEqual((report['state'], report['disk']), ('blank', None))
        self.assertEqual(self.rescue('check', self.cache)['bad'], [])
        self.refused(1, 'nothing was ever stored', 'extract', self.cache,
                     '--to', self.out)

    def test_a_later_version_is_left_alone(self):
        self.live('writes')
        for copy in (0, 1):
            self.change(copy * 65536 + 12, struct.pack('<I', 99))
        self.refused(1, 'version 99', 'list', self.cache)
        self.refused(1, 'version 99', 'extract', self.cache, '--to', self.out,
                     '--salvage')

    def test_a_file_in_use_is_refused_with_its_owner(self):
        self.live('writes')
        with open(self.cache, 'rb') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for action in ('list', 'check'):
                self.refused(4, f'(pid {os.getpid()})', action, self.cache)
            report = self.rescue('list', self.cache, '--force-read',
                                 says='may not fit')
            self.assertTrue(report['in_use'])
            self.assertGreater(report['dirty_bytes'], 0)
        self.assertFalse(self.rescue('list', self.cache)['in_use'])

    def test_an_image_that_is_too_small_is_another_disks(self):
        self.live('writes')
        with open(self.path('small'), 'wb') as file:
            file.truncate((1 << 20) - SECTOR)
        self.refused(2, "another disk's", 'extract', self.cache, '--to',
                     self.out, '--base', self.path('small'))
        self.assertFalse(os.path.exists(self.out))
        self.refused(2, "another disk's", 'extract', self.cache, '--to',
                     self.path('small'), '--in-place')
        self.assertEqual(contents(self.path('small')),
                         bytes((1 << 20) - SECTOR))

    def test_an_image_that_exists_is_not_overwritten_unasked(self):
        self.live('writes')
        self.refused(4, '--in-place', 'extract', self.cache, '--to',
                     self.backend)
        self.refused(4, 'exists', 'extract', self.cache, '--to', self.cache)
        self.refused(2, 'cache file itself', 'extract', self.cache, '--to',
                     self.cache, '--in-place')
        self.refused(2, 'cache file itself', 'extract', self.cache, '--to',
                     self.out, '--base', self.cache)
        self.refused(3, 'No such file', 'extract', self.cache, '--to',
                     self.out, '--in-place')

    def test_an_image_that_somebody_writes_is_refused(self):
        self.live('writes')
        with open(self.backend, 'r+b') as file:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, LOCK)
            for words in (['--to', self.backend, '--in-place'],
                          ['--to', self.out, '--base', self.backend]):
                self.refused(4, f'(pid {os.getpid()})', 'extract', self.cache,
                             *words)

    def test_words_that_do_not_go_together_are_refused(self):
        self.live('writes')
        for words, says in (
                (['show', self.cache], 'list, check or extract'),
                (['list', self.cache, '--to', 'x'], 'does not take --to'),
                (['check', self.cache, '--salvage'], 'take --salvage'),
                (['extract', self.cache], 'needs --to'),
                (['extract', self.cache, '--to', '-', '--in-place'],
                 '--in-place'),
                (['extract', self.cache, '--to', self.backend, '--in-place',
                  '--base', self.backend], '--in-place'),
                (['extract', self.cache, '--to', '-', '-o', 'json'],
                 '--output')):
            self.refused(2, says, *words)


class Media(RescueTest):
    """The place where it should go."""

    def test_a_full_device_is_one_clear_line(self):
        self.live('writes')
        with open('/dev/full', 'wb') as full:
            self.refused(1, 'No space left', 'extract', self.cache, '--to',
                         '-', stdout=full)

    def test_a_full_file_system_keeps_no_half_image(self):
        if os.geteuid() != 0:
            self.skipTest('mounting needs root')
        self.live('bad_dirty_block')
        small = self.path('small')
        os.mkdir(small)
        done = subprocess.run(
            ['unshare', '-m', 'sh', '-c',
             f'mount -t tmpfs -o size=32k none {small} && '
             f'{FOREBAY} disk rescue extract {self.cache} --to {small}/out; '
             f'echo code $?; ls -A {small}'],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.stdout, 'code 1\n', done.stderr)
        self.assertIn('No space left', done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_a_read_only_folder_is_one_clear_line(self):
        if os.geteuid() != 0:
            self.skipTest('mounting needs root')
        self.live('writes')
        shut = self.path('shut')
        os.mkdir(shut)
        done = subprocess.run(
            ['unshare', '-m', 'sh', '-c',
             f'mount -t tmpfs -o ro none {shut} && exec {FOREBAY} disk rescue '
             f'extract {self.cache} --to {shut}/out'],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('Read-only file system', done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_an_image_is_as_private_as_the_cache_file(self):
        self.live('writes')
        self.extract()
        self.assertEqual(os.stat(self.out).st_mode & 0o777, 0o600)

    def test_what_the_medium_cannot_read_is_told(self):
        for tool in ('nbdfuse', 'nbdkit', 'umount'):
            if not shutil.which(tool):
                self.skipTest(f'{tool} is not installed')
        if os.geteuid() != 0 or not os.path.exists('/dev/fuse'):
            self.skipTest('mounting by FUSE needs root and /dev/fuse')
        self.live('bad_dirty_block')
        copies = self.copies()
        sick = self.sick_file(self.offset_of(34))
        report = self.rescue('check', sick, code=1)
        self.assertEqual(
            {entry['fault']: sectors([entry]) for entry in report['bad']},
            {'unreadable': blocks(34), 'damaged': blocks(51)})
        # A start reads whole segments, and refuses one that it can't.
        self.assertEqual(report['state'], 'damaged')
        self.refused(1, 'reading the cache file failed', 'extract', sick,
                     '--to', self.out)
        self.rescue('extract', sick, '--base', self.backend, '--to', self.out,
                    '--salvage', code=1)
        self.assertTrue(contents(self.out)[35 * BLOCK:36 * BLOCK] ==
                        copies[35].data)

    def sick_file(self, offset):
        """The cache file on a medium that can't read the block at @offset."""
        mount = self.path('m')
        os.mkdir(mount)
        path = os.path.join(mount, 'file')
        script = (f'end=$(($4 + $3)); if [ $4 -le {offset} ] && '
                  f'[ $end -gt {offset} ]; then echo EIO bad >&2; exit 1; fi; '
                  f'dd if={self.cache} iflag=skip_bytes,count_bytes '
                  'skip=$4 count=$3 status=none')
        fuse = spawn.Process(
            ['nbdfuse', '-r', path, '--command', 'nbdkit', '-s',
             '--exit-with-parent', 'eval',
             f'get_size=stat -c %s {self.cache}', f'pread={script}'],
            self.path('fuse.log'))
        self.addCleanup(fuse.popen.wait, 30)
        self.addCleanup(subprocess.run, ['umount', mount], check=True)
        spawn.wait_until(lambda: os.path.exists(path), 30, 'the file system')
        return path

    def test_progress_is_shown_on_a_terminal_only(self):
        self.live('writes')
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        with os.fdopen(theirs, 'wb') as terminal:
            subprocess.run([FOREBAY, 'disk', 'rescue', 'check', self.cache],
                           check=True, stdout=subprocess.DEVNULL,
                           stderr=terminal, timeout=60)
        self.assertIn(b'cache: 100 %', os.read(ours, 65536))
        self.assertEqual(self.run_rescue('check', self.cache).stderr, b'')

    def test_a_killed_rescue_leaves_no_image_that_looks_whole(self):
        self.live('writes')
        with open(self.backend, 'ab') as file:
            file.write(os.urandom(1 << 20) * 63)
        partial = self.out + '.partial'
        process = spawn.Process(
            [FOREBAY, 'disk', 'rescue', 'extract', self.cache, '--base',
             self.backend, '--to', self.out], self.path('log'))
        self.addCleanup(process.kill)
        spawn.wait_until(lambda: os.path.exists(partial) or
                         not process.alive(), 30, 'the image is begun')
        process.kill()
        if os.path.exists(self.out):
            # It was faster.
            self.assertEqual(os.stat(self.out).st_size, 64 << 20)
            self.assertTrue(contents(self.out)[1 << 20:] ==
                            contents(self.backend)[1 << 20:])
        else:
            os.unlink(partial)
            self.extract('--base', self.backend)
        self.assertFalse(os.path.exists(partial))

    def test_an_unfinished_image_of_another_is_left_alone(self):
        self.live('writes')
        with open(self.out + '.partial', 'wb') as file:
            file.write(b'somebody')
        self.refused(4, '.partial', 'extract', self.cache, '--to', self.out)
        self.assertEqual(contents(self.out + '.partial'), b'somebody')


if __name__ == '__main__':
    tap.main()
