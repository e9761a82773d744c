#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stands in for forebay-disk or forebay-cached, by the name it's run as.

It speaks their protocol to forebayd and behaves as `behaviour.json` beside it
says at that moment, so that a test can have what real ones do once in a blue
moon: hang, crash in a loop, wait for a predecessor, fail to drain.

    start     ready | fail | crash | opening | slow-ready
    message   of a failed start
    silent    true: takes requests and never answers
    close     ok | refuse | silent | hang-up
    drain     ok | fail | slow: started for nobody
    flush     ok | refuse | silent
    dirty     bytes that stats tells
    curve     what stats tells of other sizes of the cache
    stuck     requests that hang below, as stats tells
    overdue   a migration waits
    pools     ok | refuse
    exists    true: forebay-cached has a cache file of every disk
"""

import json
import os
import selectors
import signal
import socket
import sys
import time

HERE = os.path.dirname(sys.argv[0])
NAME = os.path.basename(sys.argv[0])
# A filter above the cache whose status has the same words, and isn't believed.
MIMIC = {'name': 'mimic', 'class': 'inspection',
         'status': {'dirty_bytes': 99, 'hold': {'state': 'held'},
                    'lost': {'bytes': 1, 'more': False, 'ranges': []},
                    'curve': {'points': []},
                    'mode': {'requested': 'write-around',
                             'actual': 'write-around', 'reason': 'stuck',
                             'detail': None, 'writes_wait': False,
                             'left_bytes': 1}}}
DESCRIPTION = {
    'name': 'cache', 'version': '1.2.3', 'description': 'Caches.',
    'class': 'cache', 'abi_version': 1, 'operations': ['read', 'write'],
    'properties': [
        {'name': 'mode', 'type': 'string', 'default': 'write-back',
         'choices': ['write-back', 'write-through'], 'description': 'How.',
         'online': True},
        {'name': 'limit', 'type': 'size', 'default': 1 << 30,
         'minimum': 64 << 20, 'maximum': 1 << 50, 'description': 'How much.',
         'online': False}]}


def behaviour():
    try:
        with open(os.path.join(HERE, 'behaviour.json'),
                  encoding='utf-8') as file:
            return json.load(file).get(NAME, {})
    except FileNotFoundError:
        return {}


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def describe(library):
    """By the library's name: a good filter and some bad ones."""
    name = os.path.basename(library)[:-len('.so')]
    if name == 'crashing':
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == 'refused':
        print(f'{library}: needs ABI 9', file=sys.stderr)
        sys.exit(1)
    if name == 'silent':
        sys.exit(0)
    document = dict(DESCRIPTION)
    if name == 'throttle':
        document.update(name='throttle', properties=[], **{'class': 'qos'})
    elif name == 'second-cache':
        document.update(name='second-cache')
    print(json.dumps(document))
    sys.exit(0)


class Neighbour:
    """One control socket, one thread, any number of connections."""

    def __init__(self, path):
        self.path = path
        self.selector = selectors.DefaultSelector()
        if os.path.exists(path):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(8)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.pools = []

    def report(self, **line):
        os.write(int(option('--status-fd')),
                 json.dumps(line).encode() + b'\n')

    def start(self):
        how = behaviour()
        start = how.get('start', 'ready')
        if '--drain' in sys.argv:
            self.drain()
        if start == 'fail':
            self.report(state='failed', message=how['message'])
            sys.exit(1)
        if start == 'crash':
            os.kill(os.getpid(), signal.SIGKILL)
        self.report(state='opening', reason='waits for its predecessor')
        while behaviour().get('start', 'ready') == 'opening':
            time.sleep(0.02)
        self.report(state='ready')

    def drain(self):
        self.report(state='draining', reason='brings it down')
        while behaviour().get('drain', 'ok') == 'slow':
            time.sleep(0.02)
        if behaviour().get('drain', 'ok') == 'fail':
            self.report(state='failed', message='the backend is away')
            sys.exit(1)
        self.report(state='closed')
        os.unlink(self.path)
        sys.exit(0)

    def serve(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    peer, _ = self.listener.accept()
                    self.selector.register(peer, selectors.EVENT_READ)
                else:
                    self.take(key.fileobj)

    def take(self, peer):
        packet = peer.recv(65536)
        if not packet:
            self.selector.unregister(peer)
            peer.close()
            return
        request = json.loads(packet)
        if behaviour().get('silent'):
            return
        if behaviour().get(request['method']) == 'hang-up':
            self.selector.unregister(peer)
            peer.close()
            return
        method = getattr(self, request['method'].replace('-', '_'))
        answer = method(request['params'])
        if answer is None:
            return
        peer.send(json.dumps(dict(answer, id=request['id'])).encode())
        if request['method'] == 'close' and 'result' in answer:
            os.unlink(self.path)
            sys.exit(0)

    def verb(self, name):
        how = behaviour().get(name, 'ok')
        if how == 'refuse':
            return {'error': {'errno': -5, 'message': f'{name} failed here'}}
        return None if how == 'silent' else {'result': {}}

    def close(self, params):
        assert params == {'drain': True}
        return self.verb('close')

    def action(self, params):
        assert params == {'filter': None, 'action': 'flush'}
        return self.verb('flush')

    def stats(self, _):
        status = {'dirty_bytes': behaviour().get('dirty', 0),
                  'mode': {'requested': 'write-back',
                           'actual': 'write-through',
                           'reason': 'backend-refusing',
                           'detail': 'the backend is full',
                           'writes_wait': True,
                           'left_bytes': 8192},
                  'curve': behaviour().get('curve')}
        stuck = {'requests': behaviour().get('stuck', 0), 'waiting': 1,
                 'oldest_ns': 31 * 10 ** 9}
        vhost = {'overdue': behaviour().get('overdue', False)}
        return {'result': {'requests': {}, 'copied_bytes': 0, 'in_flight': 0,
                           'stuck': stuck,
                           'exports': {'vhost_user_blk': vhost},
                           'filters': [MIMIC,
                                       {'name': 'cache', 'class': 'cache',
                                        'status': status}]}}

    def set_properties(self, params):
        with open(os.path.join(HERE, 'properties.json'), 'w',
                  encoding='utf-8') as file:
            json.dump(params, file)
        return self.verb('set-properties')

    def pools_(self, params):
        answer = self.verb('pools')
        if 'result' in answer:
            with open(os.path.join(HERE, 'pools.json'), 'w',
                      encoding='utf-8') as file:
                json.dump(params['pools'], file)
        return answer

    def pool_stats(self, _):
        return {'result': {'pools': []}}

    def disk_info(self, _):
        return {'result': {'exists': behaviour().get('exists', False),
                           'bytes': 64 << 20, 'open': False}}

    def disk_delete(self, params):
        with open(os.path.join(HERE, 'deleted.json'), 'w',
                  encoding='utf-8') as file:
            json.dump(params, file)
        return self.verb('disk-delete')


def main():
    if '--describe-filter' in sys.argv:
        describe(option('--describe-filter'))
    if NAME == 'forebay-disk':
        with open(option('--config'), encoding='utf-8') as file:
            path = json.load(file)['control_socket']
    else:
        path = option('--control-socket')
    neighbour = Neighbour(path)
    setattr(neighbour, 'pools', neighbour.pools_)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    neighbour.start()
    neighbour.serve()


main()
