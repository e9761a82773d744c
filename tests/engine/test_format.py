# SPDX-License-Identifier: Apache-2.0
"""docs/cache-file-format.md says what the engine does.

A reader that was written from the page and the engine look at the same files,
whole and damaged, and must come to the same disk.
"""

import os
import shutil
import subprocess
import tempfile
import unittest

import format_reader
import tap

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


class Format(unittest.TestCase):

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
                     len(cache.copies)),
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
        self.assertEqual(kinds, {1, 2, 3, 6, 7})
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
