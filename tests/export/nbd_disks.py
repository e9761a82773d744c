# SPDX-License-Identifier: Apache-2.0
"""Real disks for clients of the NBD export: plain, and with a cache above."""

import json
import os
import select
import subprocess

import spawn
from data_plane import DataPlane
from nbd_server import BUILD, MIB, SECONDS

VHOST_SHELL = os.path.join(BUILD, 'tests/export/vhost_shell')


class CachedDisk(DataPlane):
    """Write-back that brings nothing down by itself; both exports."""

    dirty_age = '1h'

    def __init__(self, test, size_bytes):
        super().__init__(spawn.folder(test), size_bytes, {
            'mode': 'write-back', 'limit': '64MiB',
            'max_dirty_age': self.dirty_age})
        test.addCleanup(self.stop)
        self.vhost_socket = self.path('vhost')
        with open(self.path('disk.json'), encoding='utf-8') as file:
            document = json.load(file)
        document['exports']['vhost_user_blk'] = {'socket': self.vhost_socket}
        self.adapt(document)
        self.write_json('disk.json', document)
        self.start()

    def adapt(self, document):
        """For others to change the configuration."""

    @property
    def read_only_uri(self):
        return f'nbd+unix:///d-ro?socket={self.nbd_socket}'

    def flush_down(self):
        self.call('action', {'action': 'flush'})

    def image_bytes(self):
        """What the image takes of its file system."""
        return os.stat(self.image).st_blocks * 512


class RestlessDisk(CachedDisk):
    """Write-back that brings down all the time."""

    dirty_age = '1s'


class PlainDisk(CachedDisk):
    """No filter at all."""

    def adapt(self, document):
        document['filters'] = []

    def start(self):
        self.start_disk()

    def flush_down(self):
        pass


class VhostShell:
    """A VM's driver that does one thing after the other."""

    def __init__(self, test, path):
        self.popen = subprocess.Popen(
            [VHOST_SHELL, path], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, preexec_fn=spawn.die_with_parent)
        self.lines = b''
        test.addCleanup(self.end)
        self.expect('ready')

    def send(self, line):
        self.popen.stdin.write(line.encode() + b'\n')
        self.popen.stdin.flush()

    def take_line(self):
        while b'\n' not in self.lines:
            ready, _, _ = select.select([self.popen.stdout], [], [], SECONDS)
            data = os.read(self.popen.stdout.fileno(), 65536) if ready else b''
            if not data:
                return ''
            self.lines += data
        line, _, self.lines = self.lines.partition(b'\n')
        return line.decode()

    def expect(self, word):
        line = self.take_line()
        if not line.startswith(word):
            raise RuntimeError(f'the driver said {line!r}, not {word}')
        return line[len(word):].split()

    def ask(self, line):
        self.send(line)
        return [int(word) for word in self.expect('done')]

    def end(self):
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass


def run(*argv, code=0, text=None):
    """Runs a client; returns what it printed."""
    done = subprocess.run([str(word) for word in argv], text=True, input=text,
                          capture_output=True, timeout=6 * SECONDS,
                          check=False)
    if done.returncode != code:
        raise AssertionError(f'{argv} ended with {done.returncode}:\n'
                             f'{done.stdout}{done.stderr}')
    return done.stdout + done.stderr


def make_sparse(path, size_bytes, places):
    """A file with 64 KiB of data at each of @places."""
    with open(path, 'wb') as file:
        file.truncate(size_bytes)
        for number, place in enumerate(places):
            file.seek(place)
            file.write(bytes([number % 255 + 1]) * 65536)


def taken_bytes(path):
    return os.stat(path).st_blocks * 512


__all__ = ['MIB', 'SECONDS', 'CachedDisk', 'PlainDisk', 'RestlessDisk',
           'VhostShell', 'run', 'make_sparse', 'taken_bytes']
