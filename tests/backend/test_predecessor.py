# SPDX-License-Identifier: Apache-2.0
"""A killed process's write may still be in the kernel: its successor waits.

The image lies on a slow file system: nbdfuse over an nbdkit that takes seconds
for each write.
"""

import os
import shutil
import subprocess
import sys
import unittest

import spawn
import tap

IMAGE_USER = sys.argv.pop(1)
WRITE_SECONDS = 2
DEADLINE_SECONDS = 60


def needs():
    """Why the slow file system isn't possible here, or None."""
    for tool in ('nbdfuse', 'nbdkit', 'umount'):
        if not shutil.which(tool):
            return f'{tool} is not installed'
    if os.geteuid() != 0 or not os.path.exists('/dev/fuse'):
        return 'mounting by FUSE needs root and /dev/fuse'
    return None


class Predecessor(unittest.TestCase):

    def setUp(self):
        reason = needs()
        if reason:
            self.skipTest(reason)
        self.folder = spawn.folder(self)
        self.mount = os.path.join(self.folder, 'm')
        os.mkdir(self.mount)
        self.image = os.path.join(self.mount, 'image')
        self.fuse = spawn.Process(
            ['nbdfuse', self.image, '--command', 'nbdkit', '-s',
             '--exit-with-parent', '--filter=delay', 'memory', '1M',
             f'wdelay={WRITE_SECONDS}'],
            os.path.join(self.folder, 'fuse.log'))
        self.addCleanup(self.fuse.popen.wait, DEADLINE_SECONDS)
        self.addCleanup(subprocess.run, ['umount', self.mount], check=False)
        spawn.wait_until(lambda: os.path.exists(self.image),
                         DEADLINE_SECONDS, 'the slow file system')

    def start(self, name, *words):
        log = os.path.join(self.folder, name)
        process = spawn.Process([IMAGE_USER, *words], log)
        self.addCleanup(process.popen.wait, DEADLINE_SECONDS)
        self.addCleanup(process.popen.kill)
        return process, log

    def wait_for(self, log, word):
        def lines():
            with open(log, encoding='utf-8') as file:
                return [line for line in file if line.startswith(word)]
        return spawn.wait_until(lines, DEADLINE_SECONDS, f'{word} in {log}')[0]

    def test_a_successor_reads_what_the_killed_process_was_writing(self):
        uri = f'file:{self.image}'
        writer, writer_log = self.start('writer', 'write', uri, 'W')
        self.wait_for(writer_log, 'submitted')
        writer.popen.kill()
        _, reader_log = self.start('reader', 'read', uri)
        self.assertEqual(self.wait_for(reader_log, 'read'), 'read W\n')
        self.wait_for(reader_log, 'waiting')
        with open(writer_log, encoding='utf-8') as file:
            self.assertNotIn('written', file.read())


if __name__ == '__main__':
    tap.main()
