# SPDX-License-Identifier: Apache-2.0
"""docs/cache-file-format.md says what the engine does.

A reader that was written from the page and the engine look at the same files,
whole and damaged, and must come to the same disk.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import format_reader
import tap
from forebay import TOP

MAKER = os.path.join(os.environ['FOREBAY_BUILD'], 'tests', 'engine',
                     'make_cache_file')
UUID = b'a disk of a test'
BLOCK = format_reader.BLOCK
REFUSED = {'blank_file', 'bad_durable_header', 'needed_superblock_bad'}


class Story:
    """What the engine made of a file, and the file."""

    def __init__(self, test, name):
        self.folder = tempfile.mkdtemp(dir='/tmp')
        test.addCleanup(shutil.rmtree, self.folder)
        printed = subprocess.run([MAKER, name, self.folder], check=True,
                                 capture_output=True, text=True, timeout=60)
        first, *rest = [line for line in printed.stdout.splitlines()
                        if not line.startswith('#')]
        self.failure = first if first.startswith('failed: ') else None
        self.lost = {int(line.split()[1]) for line in rest}
        if not self.failure:
            self.cut, self.tail, self.dirty, self.cached = \
                map(int, first.split()[1:])

    def path(self, name):
        return os.path.join(self.folder, name)

    def bytes(self, name):
        with open(self.path(name), 'rb') as file:
            return file.read()

    def read(self):
        return format_reader.read(self.path('cache'), UUID)


def story_names():
    return subprocess.run([MAKER], check=True, capture_output=True, text=True,
                          timeout=60).stdout.split()


def fields_of_the_code():
    """{struct: [(offset, name)]} of log_format.h, without reserved ones."""
    with open(os.path.join(TOP, 'src/engine/log_format.h'),
              encoding='utf-8') as file:
        text = re.sub(r'/\*.*?\*/', '', file.read(), flags=re.S)
    structs = {}
    for name, body in re.findall(r'struct (log_\w+) \{(.*?)\n\}', text,
                                 re.S):
        at, fields = 0, []
        for bits, field, count in re.findall(
                r'uint(\d+)_t (\w+)(?:\[([^]]+)\])?;', body):
            size = int(bits) // 8
            if not field.startswith('reserved'):
                fields.append((at, field))
            # Only the last reserved field has a length that isn't a number.
            at += size * (int(count) if count.isdigit() else 1)
        structs[name] = fields
    return structs


def fields_of_the_page():
    """[{(offset, name)}] of its pictures of bytes."""
    with open(os.path.join(TOP, 'docs/cache-file-format.md'),
              encoding='utf-8') as file:
        pictures = re.findall(r'```\n(.*?)```', file.read(), re.S)
    found = []
    for picture in pictures:
        fields = set()
        lines = picture.split('\n')
        for numbers, bars in zip(lines, lines[1:]):
            offsets = {match.start(): int(match.group())
                       for match in re.finditer(r'\d+', numbers)}
            fields |= {(offsets.get(match.start()), match.group(1))
                       for match in re.finditer(r'\| (\w+)', bars)}
        found.append(fields)
    return found


class Format(unittest.TestCase):

    def test_the_page_shows_every_field_where_the_code_has_it(self):
        structs = fields_of_the_code()
        self.assertEqual(len(structs), 6)
        page = fields_of_the_page()
        for name, fields in structs.items():
            # What a record's header ends in and what a superblock has.
            wanted = {field for field in fields
                      if field[1] not in ('entries', 'rows')}
            with self.subTest(name):
                self.assertGreater(len(wanted), 3)
                self.assertTrue(any(wanted <= shown for shown in page),
                                min((wanted - shown for shown in page),
                                    key=len))

    def assert_same_disk(self, story, cache):
        disk, lost = cache.lay_over(story.bytes('backend'))
        self.assertEqual(lost, story.lost)
        engines = story.bytes('disk')
        for block in range(len(engines) // BLOCK):
            if block not in lost:
                at = slice(block * BLOCK, (block + 1) * BLOCK)
                self.assertTrue(disk[at] == engines[at], f'block {block}')

    def test_the_page_and_the_engine_agree_on_every_file(self):
        for name in story_names():
            with self.subTest(story=name):
                story = Story(self, name)
                self.assertEqual(story.failure is not None, name in REFUSED)
                if story.failure:
                    with self.assertRaises(format_reader.Damaged):
                        story.read()
                    continue
                cache = story.read()
                self.assertEqual(
                    (cache.cut, cache.tail, cache.dirty_blocks(),
                     len(cache.data_copies())),
                    (story.cut, story.tail, story.dirty, story.cached))
                self.assert_same_disk(story, cache)

    def test_the_files_have_what_the_page_is_about(self):
        """Else the agreement would be about nothing."""
        kinds, flags, masks = set(), set(), set()
        segments = 0
        for name in set(story_names()) - REFUSED:
            cache = Story(self, name).read()
            segments = max(segments, len(cache.segments))
            for segment in cache.segments:
                for record in segment.records:
                    kinds |= {entry.type for entry in record.entries}
                    flags |= {(entry.type, entry.flags)
                              for entry in record.entries}
                    masks |= {entry.mask for entry in record.entries}
        self.assertEqual(kinds, {1, 2, 3, 4, 5, 6, 7})
        self.assertIn((format_reader.WRITE, format_reader.AMENDS), flags)
        self.assertIn((format_reader.REAPPEND,
                       format_reader.DIRTY | format_reader.LOST), flags)
        self.assertGreater(len(masks), 3)
        self.assertGreater(segments, 8)

    def test_summaries_repeat_the_headers_of_their_segments(self):
        story = Story(self, 'closed_in_order')
        cache = story.read()
        self.assertTrue(all(row.last != format_reader.OPEN
                            for row in cache.superblock.rows))
        summaries = cache.summaries()
        self.assertGreater(len(summaries), 4)
        for segment, copies in summaries:
            self.assertEqual(copies, [record.header
                                      for record in segment.records])

    def test_another_disk_has_no_file_here(self):
        story = Story(self, 'writes')
        with self.assertRaises(format_reader.Damaged):
            format_reader.read(story.path('cache'), b'another one.....')


if __name__ == '__main__':
    tap.main()
