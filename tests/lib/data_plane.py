# SPDX-License-Identifier: Apache-2.0
"""One disk's processes without forebayd: forebay-cached and forebay-disk.

    plane = DataPlane(root, size_bytes, {'mode': 'write-back', ...})
    plane.start()
    plane.disk.kill(); plane.start_disk()
    plane.call('stats')
    plane.close()            drains; the image then holds everything
"""

import glob
import json
import os
import select
import socket
import time
import uuid

from forebay import find_program, installed_tree
from spawn import Process

SECONDS = 30


def cache_library(prefix):
    found = glob.glob(os.path.join(prefix, 'lib*', '**', 'cache.so'),
                      recursive=True)
    if not found:
        raise FileNotFoundError(f'cache.so is not in {prefix}')
    return found[0]


class StartFailed(Exception):
    """A process said that it can't start, or said nothing."""


class DataPlane:
    """The processes of one cached disk under the folder @root."""

    def __init__(self, root, size_bytes, cache_properties):
        self.root = root
        self.prefix = installed_tree()
        self.image = os.path.join(root, 'image')
        self.nbd_socket = os.path.join(root, 'nbd')
        self.control_socket = os.path.join(root, 'control')
        self.daemon_socket = os.path.join(root, 'cached')
        self.pool = os.path.join(root, 'pool')
        self.cached = None
        self.disk = None
        os.mkdir(self.pool)
        with open(self.image, 'wb') as file:
            file.truncate(size_bytes)
        self.write_json('pools.json', {
            'pools': [{'name': 'ssd', 'paths': [self.pool]}]})
        self.config = {
            'uuid': str(uuid.uuid4()), 'name': 'd', 'size_bytes': size_bytes,
            'backend': 'file:' + self.image, 'read_only': False,
            'filters': [{'name': 'cache',
                         'library': cache_library(self.prefix),
                         'properties': cache_properties,
                         'daemon_socket': self.daemon_socket}],
            'exports': {'nbd': {'socket': self.nbd_socket, 'name': 'd'}},
            'control_socket': self.control_socket}
        self.write_json('disk.json', self.config)

    @property
    def uri(self):
        return f'nbd+unix:///d?socket={self.nbd_socket}'

    def path(self, name):
        return os.path.join(self.root, name)

    def write_json(self, name, document):
        with open(self.path(name), 'w', encoding='utf-8') as file:
            json.dump(document, file)

    def spawn(self, name, *words, **options):
        """Starts a program."""
        return Process([find_program(self.prefix, name), *words],
                       self.path(name + '.log'), **options)

    def spawn_ready(self, name, *words):
        """Starts a program and waits until it says that it is ready."""
        reader, writer = os.pipe()
        try:
            process = self.spawn(name, *words, '--status-fd', str(writer),
                                 pass_fds=[writer])
        finally:
            os.close(writer)
        try:
            self.await_ready(process, reader)
        except StartFailed:
            process.kill()
            raise
        finally:
            os.close(reader)
        return process

    @staticmethod
    def await_ready(process, reader):
        deadline = time.monotonic() + SECONDS
        text = ''
        while '"ready"' not in text:
            ready, _, _ = select.select([reader], [], [],
                                        deadline - time.monotonic())
            data = os.read(reader, 4096) if ready else b''
            if not data:
                raise StartFailed(f'{process.argv[0]}: {text}\n'
                                  + process.output()[-4000:])
            text += data.decode()

    def start_cached(self):
        self.cached = self.spawn_ready(
            'forebay-cached', '--config', self.path('pools.json'),
            '--socket', self.daemon_socket,
            '--control-socket', self.path('cached-control'))

    def start_disk(self):
        self.disk = self.spawn_ready('forebay-disk', '--config',
                                     self.path('disk.json'))

    def begin_disk(self):
        """Starts forebay-disk and doesn't wait for it."""
        self.disk = self.spawn('forebay-disk', '--config',
                               self.path('disk.json'))

    def start(self):
        self.start_cached()
        self.start_disk()

    def call(self, method, params=None, seconds=60):
        """Asks the disk over its control socket; returns the result."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.settimeout(seconds)
            peer.connect(self.control_socket)
            peer.send(json.dumps({'id': 1, 'method': method,
                                  'params': params or {}}).encode())
            answer = json.loads(peer.recv(1 << 20))
        if 'error' in answer:
            raise RuntimeError(f'{method}: {answer["error"]}')
        return answer['result']

    def cache_status(self):
        return self.call('stats')['filters'][0]['status']

    def close(self):
        """Destages everything and ends the disk's process."""
        self.call('close', {'drain': True})
        return self.disk.wait(SECONDS)

    def stop(self):
        for process in (self.disk, self.cached):
            if process:
                process.stop()

    def logs(self):
        texts = []
        for name in sorted(glob.glob(self.path('*.log'))):
            with open(name, encoding='utf-8', errors='replace') as file:
                texts.append(f'==== {name}\n{file.read()[-4000:]}')
        return '\n'.join(texts)
