# SPDX-License-Identifier: Apache-2.0
"""A forebayd under a root of its own, spoken to over its socket."""

import glob
import json
import os
import signal
import time

from spawn import Process, folder, wait_until
from unix_http import UnixConnection

BUILD = os.environ['FOREBAY_BUILD']
HERE = os.path.dirname(os.path.abspath(__file__))


class AgentHost:
    """forebayd with scripted neighbours (neighbour.py), or with none."""

    def __init__(self, test, neighbours=True):
        self.root = folder(test)
        self.programs = os.path.join(self.root, 'programs')
        self.filters = os.path.join(self.root, 'filters')
        os.mkdir(self.programs)
        os.mkdir(self.filters)
        if neighbours:
            for name in ('forebay-disk', 'forebay-cached'):
                os.symlink(os.path.join(HERE, 'neighbour.py'),
                           os.path.join(self.programs, name))
        self.daemon = None
        test.addCleanup(self.clean_up)
        self.start()

    @property
    def socket(self):
        return os.path.join(self.root, 'run', 'forebayd.sock')

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.daemon = Process(
            [*self.wrapper(),
             os.path.join(BUILD, 'src/agent/forebayd'), '--root', self.root,
             '--libexec-dir', self.programs, '--filter-dir', self.filters,
             '--log-level', 'debug'],
            os.path.join(self.root, 'forebayd.out'))
        self.daemon.wait_for_file(self.socket)

    def wrapper(self):
        """A command that forebayd is run by."""
        return []

    def children(self):
        """Pids of the processes that hold the lock of a folder."""
        pids = []
        for path in glob.glob(self.root + '/run/**/lock', recursive=True):
            with open(path, encoding='utf-8') as file:
                words = file.read().split()
            if words and self.runs(int(words[0])):
                pids.append(int(words[0]))
        return pids

    def runs(self, pid):
        """Whether @pid is one of ours, and not a zombie."""
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                return self.root.encode() in file.read()
        except OSError:
            return False

    def clean_up(self):
        # forebayd first: it would start them again.
        code = self.daemon.stop()
        for pid in self.children():
            os.kill(pid, signal.SIGKILL)
        # A sanitizer's findings end it with another status.
        assert code in (0, -signal.SIGKILL), self.daemon.output()

    def behave(self, program, **how):
        """Says how a neighbour behaves from now on."""
        path = os.path.join(self.programs, 'behaviour.json')
        words = {}
        if os.path.exists(path):
            with open(path, encoding='utf-8') as file:
                words = json.load(file)
        words[program] = how
        with open(path + '.next', 'w', encoding='utf-8') as file:
            json.dump(words, file)
        os.rename(path + '.next', path)

    def install_filter(self, name):
        with open(os.path.join(self.filters, name + '.so'), 'w',
                  encoding='utf-8') as file:
            file.write('looked at by forebay-disk only')

    def raw(self, method, path, body=None, seconds=90):
        connection = UnixConnection(self.socket, seconds)
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text

    def request(self, method, path, document=None, seconds=90):
        """Returns: (status, document)."""
        body = None if document is None else json.dumps(document)
        answer, text = self.raw(method, '/v1' + path, body, seconds)
        if answer.headers['Content-Type'] == 'text/xml':
            return answer.status, text
        return answer.status, json.loads(text)

    def get(self, path):
        status, document = self.request('GET', path)
        assert status == 200, document
        return document

    def post(self, path, document=None, expect=(200, 201)):
        status, answer = self.request('POST', path, document)
        assert status in expect, answer
        return answer

    def make_disk(self, name='d1', **more):
        document = {'name': name, 'size_bytes': 1 << 20,
                    'backend': f'file:{self.root}/{name}.img'}
        document.update(more)
        return self.post('/disks', document)

    def disk(self, name='d1'):
        return self.get('/disks/' + name)

    def wait_for_state(self, state, name='d1', seconds=30):
        return wait_until(
            lambda: (lambda d: d if d['state'] == state else None)(
                self.disk(name)), seconds, f'disk {name} is {state}')


def took(function):
    """Seconds that @function takes."""
    started = time.monotonic()
    function()
    return time.monotonic() - started
