# SPDX-License-Identifier: Apache-2.0
"""Something fast to stand in for an SSD.

Best is a loop device with direct I/O over a file in RAM, with a file system on
it: it behaves as an SSD does towards O_DIRECT and io_uring, and is quick
enough that software is what gets measured. It needs root. Without, a folder
on the machine's own disk has to do, and the figures say more about that disk.
"""

import os
import shutil
import subprocess

FAST = 'loop device over RAM'
SLOW = "the machine's own disk"


def must(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise OSError(f'{" ".join(words)}: {done.stderr.strip()}')
    return done.stdout.strip()


class LoopDevice:
    """RAM -> file -> loop device -> ext4 -> self.folder."""

    kind = FAST

    def __init__(self, work, size_bytes):
        self.memory = os.path.join(work, 'memory')
        self.folder = os.path.join(work, 'device')
        self.device = None
        self.mounted = []
        try:
            self.mount('-t', 'tmpfs', '-o', f'size={size_bytes + (64 << 20)}',
                       'forebay-bench', self.memory)
            image = os.path.join(self.memory, 'image')
            with open(image, 'wb') as file:
                file.truncate(size_bytes)
            self.device = must('losetup', '--direct-io=on', '--find',
                               '--show', image)
            must('mkfs.ext4', '-q', '-F', '-E', 'nodiscard', self.device)
            self.mount(self.device, self.folder)
        except OSError:
            self.close()
            raise

    def mount(self, *words):
        os.makedirs(words[-1], exist_ok=True)
        must('mount', *words)
        self.mounted.append(words[-1])

    def close(self):
        for folder in reversed(self.mounted):
            subprocess.run(['umount', folder], check=False)
            if folder == self.folder and self.device:
                subprocess.run(['losetup', '--detach', self.device],
                               check=False)
                self.device = None
        self.mounted = []
        if self.device:
            subprocess.run(['losetup', '--detach', self.device], check=False)


class Folder:
    """Files on whatever disk the work folder is on."""

    kind = SLOW

    def __init__(self, work, _size_bytes):
        self.folder = os.path.join(work, 'device')
        os.makedirs(self.folder)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def open_device(work, size_bytes):
    """Returns a LoopDevice if this machine lets us, else a Folder."""
    if os.geteuid() == 0 and os.path.exists('/dev/loop-control'):
        try:
            return LoopDevice(work, size_bytes)
        except (OSError, FileNotFoundError):
            pass
    return Folder(work, size_bytes)


def make_file(path, size_bytes):
    """A file whose blocks are all written: nothing is allocated later."""
    block = os.urandom(1 << 20)
    with open(path, 'wb') as file:
        for _ in range(size_bytes >> 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return path
