# SPDX-License-Identifier: Apache-2.0
"""The page about a sidecar's format against the store that writes it."""

import os
import struct
import subprocess
import unittest

import sidecar_reader
import tap
from spawn import folder

LIVES = 6


class Format(unittest.TestCase):

    def make(self, seed):
        path = os.path.join(folder(self), 'sidecar')
        output = subprocess.run(
            [os.environ['MAKE_SIDECAR_FILE'], path, str(seed)], check=True,
            stdout=subprocess.PIPE, text=True).stdout
        blocks, *stamps = (int(line) for line in output.split())
        self.assertEqual(len(stamps), blocks)
        return path, b''.join(struct.pack('<Q', stamp) * 512
                              for stamp in stamps)

    def test_a_reader_written_from_the_page_gets_the_data(self):
        records = 0
        for seed in range(1, LIVES + 1):
            path, expected = self.make(seed)
            sidecar = sidecar_reader.read(path)
            self.assertEqual(sidecar.data, expected, seed)
            records += sidecar.records
        # Some of them stood in the journal only.
        self.assertGreater(records, LIVES)

    def test_a_label_says_whose_it_is(self):
        path, _ = self.make(1)
        label = sidecar_reader.read(path).label
        self.assertEqual(label.disk, b'\xd5' * 16)
        self.assertEqual(label.generation, 0x1122334455667788)
        self.assertEqual(label.next_generation, 0x99aabbccddeeff00)
        self.assertEqual(label.pending, 1)
        self.assertEqual((label.filter, label.filter_version, label.name),
                         ('probe', '1.2.3', 'notes'))

    def test_damage_is_seen(self):
        path, _ = self.make(1)
        for block in (1, 2, 3):
            with open(path, 'r+b') as file:
                file.seek(block * 4096 + 40)
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 1]))
            with self.assertRaisesRegex(sidecar_reader.Damaged,
                                        f'block {block}'):
                sidecar_reader.read(path)
            with open(path, 'r+b') as file:
                file.seek(block * 4096 + 40)
                file.write(byte)


if __name__ == '__main__':
    tap.main()
