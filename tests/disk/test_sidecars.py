# SPDX-License-Identifier: Apache-2.0
"""What a filter keeps beside an image, in a process that is killed."""

import os
import random
import re
import shutil
import struct
import subprocess
import threading
import unittest
import uuid

import nbd

import sidecar_reader
import spawn
import tap
from disk_process import LOAD, Disk, Refused, filter_entry
from spawn import folder

BLOCK = 4096
MIB = 1 << 20
PLACES = 1024
KILLS = 12
SEED = int(os.environ.get('FOREBAY_SEED', '0')) or random.randrange(1 << 31)


class Writer(threading.Thread):
    """Writes numbers to random blocks until the disk is gone."""

    def __init__(self, disk, numbers, dice):
        super().__init__()
        self.disk = disk
        self.dice = dice
        self.first = numbers
        self.acknowledged = {}  # block -> the last number that is done
        self.begun = {}  # block -> the last that was begun
        self.count = 0
        self.enough = threading.Event()

    def run(self):
        try:
            handle = self.disk.nbd()
            while True:
                place = self.dice.randrange(PLACES)
                self.count += 1
                number = self.first + self.count
                self.begun[place] = number
                handle.pwrite(struct.pack('<Q', number) * (BLOCK // 8),
                              place * BLOCK)
                self.acknowledged[place] = number
                if self.count % 50 == 0:
                    handle.flush()
                if self.count == 20:
                    self.enough.set()
        except nbd.Error:
            self.enough.set()


class Sidecars(unittest.TestCase):

    def disk(self, **properties):
        disk = Disk(self, [filter_entry('notes', **properties)], 16 * MIB)
        self.addCleanup(lambda: print(disk.process.output()))
        disk.config['host'] = {'id': str(uuid.uuid4()), 'name': 'h1'}
        return disk

    def file(self, disk):
        return disk.image + '.forebay/notes.notes'

    def entry(self, disk):
        return disk.call('stats')['filters'][0]

    def state(self, disk):
        return self.entry(disk)['sidecars'][0]['state']

    def counter(self, disk):
        return self.entry(disk)['status']['counter']

    def write(self, disk):
        handle = disk.nbd()
        handle.pwrite(b'x' * BLOCK, 0)
        handle.flush()
        handle.shutdown()

    def close(self, disk):
        self.assertEqual(disk.process.stop(), 0)

    def numbers(self, disk):
        """The counter, and the number and data of each place."""
        data = sidecar_reader.read(self.file(disk)).data
        self.assertEqual(len(data), (1 + PLACES) * BLOCK)
        return struct.unpack_from('<Q', data)[0], [
            struct.unpack_from('<QQ', data, (1 + place) * BLOCK)
            for place in range(PLACES)]

    def check(self, disk, writer):
        counter, notes = self.numbers(disk)
        # A group is there as a whole, or not at all.
        self.assertEqual(max(number for number, _ in notes), counter)
        for place, number in writer.acknowledged.items():
            self.assertIn(notes[place][1], (number, writer.begun[place]))

    def test_what_is_noted_survives_each_kill(self):
        dice = random.Random(SEED)
        print(f'seed {SEED}')
        disk = self.disk()
        known = 0
        for _ in range(KILLS):
            disk.start_ready()
            self.assertGreaterEqual(self.counter(disk), known)
            writer = Writer(disk, known * 1000, dice)
            writer.start()
            self.assertTrue(writer.enough.wait(60))
            # Each time after another number of them.
            while writer.is_alive() and \
                    writer.count < 20 + dice.randrange(600):
                pass
            disk.process.kill()
            writer.join()
            self.check(disk, writer)
            known = self.numbers(disk)[0]
        disk.start_ready()
        self.assertEqual(self.counter(disk), known)
        self.assertEqual(self.state(disk), 'same')
        self.close(disk)

    def test_it_is_new_and_then_the_same(self):
        disk = self.disk().start_ready()
        self.assertEqual(self.state(disk), 'new')
        self.write(disk)
        self.assertEqual(self.counter(disk), 1)
        self.close(disk)
        disk.start_ready()
        self.assertEqual(self.state(disk), 'same')
        self.assertEqual(self.entry(disk)['status'],
                         {'counter': 1, 'last_version': '1.0.0'})
        disk.process.kill()
        disk.start_ready()
        self.assertEqual(self.state(disk), 'same')
        self.assertEqual(self.counter(disk), 1)

    def without(self, disk, change=True):
        """Opens the disk without the filter."""
        filters = disk.config['filters']
        disk.config['filters'] = []
        disk.start_ready()
        if change:
            self.write(disk)
        self.close(disk)
        disk.config['filters'] = filters

    def test_a_disk_that_was_open_without_its_filter_says_so(self):
        disk = self.disk().start_ready()
        self.close(disk)
        self.without(disk)
        disk.start_ready()
        self.assertEqual(self.state(disk), 'bypassed')
        self.close(disk)
        disk.start_ready()
        self.assertEqual(self.state(disk), 'same')

    def test_an_image_that_others_have_written_says_so(self):
        disk = self.disk().start_ready()
        self.close(disk)
        with open(disk.image, 'r+b') as file:
            file.write(b'y' * BLOCK)
        disk.start_ready()
        self.assertEqual(self.state(disk), 'bypassed')

    def test_it_is_said_until_the_filter_opens(self):
        disk = self.disk().start_ready()
        self.close(disk)
        self.without(disk)
        disk.config['filters'] = [filter_entry('notes', refuse=True)]
        for _ in range(3):
            self.assertIn("its sidecar isn't what it was",
                          disk.start_failing())
        disk.config['filters'] = [filter_entry('notes')]
        disk.start_ready()
        self.assertEqual(self.state(disk), 'bypassed')
        self.close(disk)
        disk.config['filters'] = [filter_entry('notes', refuse=True)]
        disk.start_ready()
        self.assertEqual(self.state(disk), 'same')

    def test_a_cache_below_that_opens_first_does_not_hide_it(self):
        """It raises the generation in its open()."""
        disk = self.disk().start_ready()
        self.close(disk)
        self.without(disk)
        # The one above refuses, when the one below has opened already.
        disk.config['filters'] = [filter_entry('notes', refuse=True),
                                  filter_entry('holder')]
        disk.start_failing()
        disk.config['filters'] = [filter_entry('notes'),
                                  filter_entry('holder')]
        disk.start_ready()
        self.assertEqual(self.state(disk), 'bypassed')

    def test_a_copy_belongs_to_another_disk(self):
        disk = self.disk().start_ready()
        self.write(disk)
        self.close(disk)
        copy = self.disk()
        shutil.copy(disk.image, copy.image)
        shutil.copytree(disk.image + '.forebay', copy.image + '.forebay')
        copy.start_ready()
        self.assertEqual(self.state(copy), 'foreign')
        self.assertEqual(self.counter(copy), 1)
        self.close(copy)
        copy.start_ready()
        self.assertEqual(self.state(copy), 'same')

    def test_one_whose_filter_never_opened_is_new_again(self):
        disk = self.disk(refuse=True)
        disk.start_failing()
        disk.start_failing()
        disk.config['filters'] = [filter_entry('notes')]
        disk.start_ready()
        self.assertEqual(self.state(disk), 'new')

    def test_a_read_only_disk_reads_it_only(self):
        disk = self.disk().start_ready()
        self.write(disk)
        self.close(disk)
        with open(self.file(disk), 'rb') as file:
            before = file.read()
        disk.config['read_only'] = True
        disk.start_ready()
        self.assertEqual((self.state(disk), self.counter(disk)), ('same', 1))
        with self.assertRaises(Refused) as caught:
            disk.call('action', filter='notes', action='write')
        self.assertEqual(caught.exception.errno, 30)
        self.close(disk)
        with open(self.file(disk), 'rb') as file:
            self.assertEqual(file.read(), before)

    def test_a_read_only_disk_that_never_had_one_opens(self):
        disk = self.disk()
        disk.config['read_only'] = True
        disk.start_ready()
        self.assertEqual(self.state(disk), 'new')

    def test_what_cannot_be_fails_and_nothing_else_does(self):
        disk = self.disk().start_ready()
        for action, number in (('longer-than-declared', 27),
                               ('behind-the-end', 22),
                               ('part-of-a-block', 22),
                               ('unknown-file', 9), ('forced', 22),
                               ('zeroes', 95)):
            with self.assertRaises(Refused) as caught:
                disk.call('action', filter='notes', action=action)
            self.assertEqual(caught.exception.errno, number, action)
        disk.call('action', filter='notes', action='write')

    def test_a_reopened_pipeline_finds_it_behind_closed_doors(self):
        """A resize closes and opens everything."""
        disk = self.disk().start_ready()
        self.write(disk)
        disk.call('resize', size_bytes=32 * MIB)
        self.assertEqual((self.state(disk), self.counter(disk)), ('same', 1))
        self.write(disk)
        self.assertEqual(self.counter(disk), 2)

    def test_a_disk_that_waits_for_its_vm_makes_it_behind_closed_doors(self):
        self.check_incoming(self.disk(), 'new')

    def test_what_a_waiting_disk_finds_is_the_same(self):
        disk = self.disk().start_ready()
        self.write(disk)
        self.close(disk)
        self.check_incoming(disk, 'same')

    def check_incoming(self, disk, state):
        disk.arguments = ['--incoming']
        disk.start()
        while disk.next_state()['state'] != 'incoming':
            pass
        load = spawn.Process(
            [LOAD, 'bench', '--vhost-user', disk.path('vhost'), '--read', '0',
             '--block-size', '4KiB', '--span', '4MiB', '--count', '100',
             '--destroy-data'], disk.path('load'))
        self.addCleanup(load.kill)
        self.assertEqual(load.wait(60), 0, load.output())
        self.assertEqual(self.state(disk), state)
        self.assertEqual(self.counter(disk), 100 + (state == 'same'))

    def test_a_disk_without_a_place_for_it_is_refused(self):
        disk = self.disk()
        os.mkdir(disk.path('real'))
        disk.config['sidecar'] = disk.path('none/here')
        self.assertRegex(disk.start_failing(),
                         'no place for it.*--sidecar')

    def test_damage_is_told(self):
        disk = self.disk().start_ready()
        self.close(disk)
        with open(self.file(disk), 'r+b') as file:
            file.seek(2 * BLOCK)
            file.write(b'?' * BLOCK * 2)
        self.assertRegex(disk.start_failing(),
                         'sidecar notes of filter notes.*is damaged')

    def test_a_full_file_system_fails_the_write_with_words(self):
        if os.getuid() != 0:
            self.skipTest('mounts a file system: needs root')
        place = folder(self)
        mounted = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=6m', 'none', place],
            check=False, capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest('no file system can be mounted: ' +
                          mounted.stderr.strip())
        self.addCleanup(subprocess.run, ['umount', '-l', place], check=False)
        disk = self.disk()
        disk.config['sidecar'] = place
        disk.start_ready()
        handle = disk.nbd()
        with self.assertRaisesRegex(nbd.Error, 'space'):
            for _ in range(3):
                for block in range(PLACES):
                    handle.pwrite(b'z' * BLOCK, block * BLOCK)
        # The disk lives on, and what it has noted is whole.
        self.assertEqual(handle.pread(BLOCK, 0), b'z' * BLOCK)
        sidecar = self.entry(disk)['sidecars'][0]
        self.assertEqual(sidecar['error'], '')
        handle.shutdown()
        counter = self.counter(disk)
        disk.process.kill()
        data = sidecar_reader.read(os.path.join(place, 'notes.notes')).data
        found = struct.unpack_from('<Q', data)[0]
        self.assertTrue(0 < found < counter)

    def test_the_file_belongs_to_whom_the_image_does(self):
        disk = self.disk()
        if os.getuid() != 0:
            self.skipTest('gives a file away: needs root')
        os.chown(disk.image, 1234, 1234)
        disk.start_ready()
        facts = os.stat(self.file(disk))
        self.assertEqual((facts.st_uid, facts.st_mode & 0o777), (1234, 0o600))

    def test_the_library_says_what_it_keeps(self):
        text = subprocess.run(
            [os.path.join(os.environ['FOREBAY_BUILD'],
                          'src/disk/forebay-disk'), '--describe-filter',
             filter_entry('notes')['library']], check=True,
            capture_output=True, text=True).stdout
        self.assertRegex(text, re.compile(
            r'"sidecars": \[\s*{\s*"name": "notes"'))


if __name__ == '__main__':
    tap.main()
