# SPDX-License-Identifier: Apache-2.0
"""One forebay-disk process over a raw image, as forebayd would start it."""

import json
import os
import socket
import uuid

import nbd

import spawn

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get('FOREBAY_BUILD', os.path.join(TOP, 'build'))
PROGRAM = os.path.join(BUILD, 'src/disk/forebay-disk')
LOAD = os.path.join(BUILD, 'src/cli/forebay')

MIB = 1 << 20
SECONDS = 20


class Refused(Exception):
    """A control request that was answered with an error."""

    def __init__(self, answer):
        super().__init__(answer['message'])
        self.errno = -answer['errno']


def library(name):
    """Where the build put the filter @name."""
    for folder in ('filters/' + name, 'examples', 'tests/filters'):
        path = os.path.join(BUILD, folder, name + '.so')
        if os.path.exists(path):
            return path
    raise FileNotFoundError(name + '.so')


def pattern(number, length=4096):
    """Bytes that tell one write from another; whole sectors of them."""
    return bytes((number * 7 + i) % 251 for i in range(512)) * (length // 512)


def filter_entry(name, **properties):
    return {'name': name, 'library': library(name), 'properties': properties}


class Disk:
    """@filters: entries of the configuration, from the VM down."""

    def __init__(self, test, filters=(), size=64 * MIB, folder=None):
        self.folder = folder or spawn.folder(test)
        self.test = test
        self.image = os.path.join(self.folder, 'image')
        if not os.path.exists(self.image):
            with open(self.image, 'wb') as file:
                file.truncate(size)
        self.config = {
            'uuid': str(uuid.uuid4()),
            'name': 'db1',
            'size_bytes': size,
            'backend': 'file:' + self.image,
            'read_only': False,
            'filters': list(filters),
            'exports': {
                'nbd': {'socket': self.path('nbd'), 'name': 'db1'},
                'vhost_user_blk': {'socket': self.path('vhost')},
            },
            'control_socket': self.path('control'),
        }
        self.wrapper = []  # a command that it is run by
        self.arguments = []
        self.process = None
        self.states = []
        self.pipe = None
        self.rest = b''

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        config = self.path('config.json')
        with open(config, 'w', encoding='utf-8') as file:
            json.dump(self.config, file)
        reader, writer = os.pipe()
        self.pipe = os.fdopen(reader, 'rb', buffering=0)
        self.test.addCleanup(self.pipe.close)
        self.states = []
        self.rest = b''
        self.process = spawn.Process(
            [*self.wrapper, PROGRAM, '--config', config, '--status-fd',
             str(writer), *self.arguments],
            self.path('log'), pass_fds=[writer])
        os.close(writer)
        self.test.addCleanup(self.process.kill)

    def next_state(self):
        """The next line on the status pipe, or None when it is closed."""
        while b'\n' not in self.rest:
            data = self.pipe.read(4096)
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b'\n', 1)
        self.states.append(json.loads(line))
        return self.states[-1]

    def start_ready(self):
        self.start()
        while True:
            state = self.next_state()
            if state is None or state['state'] == 'failed':
                raise RuntimeError(f'{state}: {self.process.output()}')
            if state['state'] == 'ready':
                return self

    def start_failing(self):
        """Starts what can't work; returns the message."""
        self.start()
        while True:
            state = self.next_state()
            if state is None or state['state'] == 'ready':
                raise RuntimeError(f'{state}: {self.process.output()}')
            if state['state'] == 'failed':
                self.test.assertEqual(self.process.wait(SECONDS), 1)
                return state['message']

    def connect(self):
        """A connection to the control socket."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.settimeout(SECONDS)
        link.connect(self.config['control_socket'])
        self.test.addCleanup(link.close)
        return link

    def call(self, method, link=None, **params):
        link = link or self.connect()
        request = {'id': 1, 'method': method, 'params': params}
        link.send(json.dumps(request).encode())
        answer = json.loads(link.recv(1 << 16))
        self.test.assertEqual(answer['id'], 1)
        if 'error' in answer:
            raise Refused(answer['error'])
        return answer['result']

    def nbd(self):
        handle = nbd.NBD()
        handle.set_export_name('db1')
        handle.connect_unix(self.path('nbd'))
        return handle

    def uri(self):
        return 'nbd+unix:///db1?socket=' + self.path('nbd')
