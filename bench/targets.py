# SPDX-License-Identifier: Apache-2.0
"""What is measured: Forebay, and what it is compared with.

Each target is started on a file, pinned to a CPU, and loaded by measure().
A target that this machine or this build doesn't have raises Missing.
"""

import json
import os
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'tests', 'lib'))

import spawn  # noqa: E402

START_SECONDS = 20
# How exactly a stall is measured, and for how long it is looked for.
STALL_RATE = 2000
STALL_SECONDS = 1.0
TARGET_CPU = 0


class Missing(Exception):
    """Something needed isn't here; the text says what."""


class Placement:
    """Which CPUs target and load run on, and how the load waits."""

    def __init__(self, name, load_cpu, wait):
        self.name = name
        self.load_cpu = load_cpu
        self.wait = wait


SAME = Placement('same CPU', TARGET_CPU, 'interrupt')
XCORE = Placement('other CPU', TARGET_CPU + 1, 'interrupt')
POLL = Placement('other CPU, polled', TARGET_CPU + 1, 'poll')


class Shape:
    """What the load does."""

    def __init__(self, mode='randread', depth=1, size_bytes=0, warm_up=0.0,
                 seconds=1.0, words=()):
        self.mode = mode
        self.depth = depth
        self.size_bytes = size_bytes
        self.warm_up = warm_up
        self.seconds = seconds
        self.words = words


def find_built(build, *names):
    for name in names:
        path = os.path.join(build, name)
        if os.path.exists(path):
            return path
    raise Missing(f'{names[0]} is not built')


def start(words, log):
    process = spawn.Process(words, log)
    os.sched_setaffinity(process.pid, {TARGET_CPU})
    return process


# fio's names for what forebay bench says with two flags.
MODES = {
    'randread': ['--read', 100], 'randwrite': ['--read', 0],
    'read': ['--read', 100, '--pattern', 'sequential'],
    'write': ['--read', 0, '--pattern', 'sequential']}


def run_json(words, what, cpu=None):
    """Runs a program, on @cpu if one is given; returns what it reports."""
    def pin():
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
    done = subprocess.run([str(word) for word in words], text=True,
                          capture_output=True, stdin=subprocess.DEVNULL,
                          check=False, timeout=600, preexec_fn=pin)
    if done.returncode != 0:
        raise RuntimeError(f'{what}: {done.stderr.strip() or done.stdout}')
    return json.loads(done.stdout[done.stdout.index('{'):])


class Target:
    """Something behind a vhost-user-blk socket."""

    def __init__(self, name, build, work):
        self.name = name
        self.build = build
        self.work = work
        self.socket = os.path.join(work, name + '.sock')
        self.processes = []

    def launch(self, words):
        process = start(words, os.path.join(self.work, self.name + '.log'))
        self.processes.append(process)
        return process

    def ready(self, process, condition):
        def check():
            if not process.alive():
                raise RuntimeError(f'{self.name}: {process.output()}')
            return condition()
        spawn.wait_until(check, START_SECONDS, f'{self.name} starts')

    def address(self):
        return ['--vhost-user', self.socket]

    def bench(self, *words):
        """The command line of a load on this target."""
        return [find_built(self.build, 'src/cli/forebay'), 'bench',
                *self.address(), '-o', 'json', '--destroy-data', *words]

    def measure(self, shape, placement):
        """Returns what forebay bench reports."""
        words = [*MODES[shape.mode], '--depth', shape.depth, '--seconds',
                 shape.seconds, '--warm-up', shape.warm_up, '--notify',
                 placement.wait, *shape.words]
        if shape.size_bytes:
            words += ['--span', shape.size_bytes]
        return run_json(self.bench(*words), self.name, placement.load_cpu)

    def stall(self):
        """Kills it under a load and starts another; the load's longest
        latency is how long nobody was served."""
        load = subprocess.Popen(
            [str(word) for word in self.bench(
                '--read', 100, '--rate', STALL_RATE, '--seconds',
                STALL_SECONDS, '--reconnect', START_SECONDS)],
            stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
            preexec_fn=spawn.die_with_parent)
        try:
            load.wait(STALL_SECONDS / 2)
        except subprocess.TimeoutExpired:
            self.processes.pop().kill()
            os.unlink(self.socket)
            self.start()
        text, _ = load.communicate(timeout=60)
        if load.returncode != 0:
            raise RuntimeError(f'{self.name}: the load failed: {text}')
        report = json.loads(text)
        if report['reconnects'] != 1:
            raise RuntimeError(f'{self.name}: the load missed the kill')
        return report

    def fill(self, size_bytes):
        """Writes the first @size_bytes once."""
        run_json(self.bench(*MODES['write'], '--block-size', 65536, '--depth',
                            8, '--count', size_bytes // 65536, '--span',
                            size_bytes), self.name)

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
        self.processes = []


class StorageDaemon(Target):
    """qemu-storage-daemon: a raw file, uncached, io_uring."""

    def __init__(self, build, work, path, name='qsd'):
        super().__init__(name, build, work)
        self.path = path

    def start(self):
        program = shutil.which('qemu-storage-daemon')
        if not program:
            raise Missing('qemu-storage-daemon is not installed')
        process = self.launch([
            program, '--blockdev',
            f'driver=file,node-name=file,filename={self.path},'
            'aio=io_uring,cache.direct=on', '--export',
            'type=vhost-user-blk,id=export,node-name=file,writable=on,'
            f'num-queues=1,addr.type=unix,addr.path={self.socket}'])
        self.ready(process, lambda: os.path.exists(self.socket))
        return self


class NbdServer(Target):
    """Somebody's NBD server of a raw file, on a unix socket."""

    def address(self):
        return ['--nbd', f'nbd+unix:///?socket={self.socket}']

    def serve(self, program, *words):
        path = shutil.which(program)
        if not path:
            raise Missing(f'{program} is not installed')
        process = self.launch([path, *words])
        self.ready(process, lambda: os.path.exists(self.socket))
        return self


class Nbdkit(NbdServer):
    def __init__(self, build, work, path):
        super().__init__('nbdkit', build, work)
        self.path = path

    def start(self):
        return self.serve('nbdkit', '-f', '-U', self.socket, 'file',
                          self.path)


class QemuNbd(NbdServer):
    def __init__(self, build, work, path):
        super().__init__('qemu-nbd', build, work)
        self.path = path

    def start(self):
        return self.serve('qemu-nbd', '-t', '-f', 'raw', '--cache=none',
                          '--aio=io_uring', '-k', self.socket, self.path)


class Disk(Target):
    """forebay-disk on a raw file, with filters."""

    def __init__(self, build, work, path, name='forebay'):
        super().__init__(name, build, work)
        self.path = path
        self.filters = []
        self.nbd = False
        self.control = os.path.join(work, name + '.control')

    def over_nbd(self):
        """It is loaded through NBD, and has no other export."""
        self.nbd = True
        return self

    def address(self):
        if self.nbd:
            return ['--nbd',
                    f'nbd+unix:///{self.name}?socket={self.socket}']
        return super().address()

    def add_null_filters(self, count):
        library = find_built(self.build, 'examples/null.so',
                             'examples/null-filter.so')
        self.filters += [{'name': 'null', 'library': library,
                          'properties': {}, 'daemon_socket': None}] * count
        return self

    def add_cache(self, daemon, limit_bytes, **properties):
        self.filters.append({
            'name': 'cache',
            'library': find_built(self.build, 'filters/cache/cache.so'),
            'properties': {'mode': 'write-back', 'limit': limit_bytes,
                           **properties},
            'daemon_socket': daemon.socket})
        return self

    def start(self):
        program = find_built(self.build, 'src/disk/forebay-disk')
        config = os.path.join(self.work, self.name + '.json')
        number = sum(self.name.encode())
        with open(config, 'w', encoding='utf-8') as file:
            json.dump({
                'uuid': f'0be9c400-0000-4000-8000-{number:012x}',
                'name': self.name,
                'size_bytes': os.path.getsize(self.path),
                'backend': 'file:' + self.path, 'read_only': False,
                'filters': self.filters,
                'exports': {
                    'nbd' if self.nbd else 'vhost_user_blk':
                        {'socket': self.socket}},
                'control_socket': self.control}, file)
        process = self.launch([program, '--config', config])
        self.ready(process, lambda: os.path.exists(self.socket))
        return self

    def stats(self):
        return control(self.control, 'stats')

    def hits(self):
        """(bytes read from the cache, bytes read around it) so far."""
        for instance in self.stats().get('filters', []):
            status = instance.get('status') or {}
            if 'read_hit_bytes' in status:
                return status['read_hit_bytes'], status['read_miss_bytes']
        return 0, 0

    def dirty_bytes(self):
        return self.stats()['filters'][-1]['status']['dirty_bytes']


class CacheDaemon:
    """forebay-cached with one pool."""

    def __init__(self, build, work, pool):
        self.work = work
        self.pool = pool
        self.socket = os.path.join(work, 'cached.sock')
        self.control = os.path.join(work, 'cached.control')
        self.program = find_built(build, 'src/cached/forebay-cached')
        self.process = None
        find_built(build, 'filters/cache/cache.so')
        os.makedirs(pool, exist_ok=True)
        self.start()

    def start(self):
        for path in (self.socket, self.control):
            if os.path.exists(path):
                os.unlink(path)
        self.process = spawn.Process(
            [self.program, '--config', os.path.join(self.work, 'cached.json'),
             '--socket', self.socket, '--control-socket', self.control],
            os.path.join(self.work, 'cached.log'))
        try:
            self.process.wait_for_file(self.control)
            self.process.wait_for_file(self.socket)
            control(self.control, 'pools',
                    pools=[{'name': 'bench', 'paths': [self.pool]}])
        except BaseException:
            self.process.stop()
            raise

    def stop(self):
        self.process.stop()


def control(path, method, **params):
    """One request on a control socket; returns its result."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(30)
        connection.connect(path)
        connection.send(json.dumps({'id': 1, 'method': method,
                                    'params': params}).encode())
        answer = json.loads(connection.recv(1 << 20))
    if 'error' in answer:
        raise RuntimeError(f'{method}: {answer["error"]["message"]}')
    return answer['result']


class Fio:
    """fio, io_uring, straight on the file."""

    name = 'fio'

    def __init__(self, path):
        self.path = path
        self.program = shutil.which('fio')
        if not self.program:
            raise Missing('fio is not installed')

    def start(self):
        return self

    def stop(self):
        pass

    def measure(self, shape, placement):
        """One process does all: it has only one CPU, whatever @placement."""
        del placement
        report = run_json([
            self.program, '--name=raw', f'--filename={self.path}',
            '--ioengine=io_uring', '--direct=1', '--bs=4k',
            f'--rw={shape.mode}', f'--iodepth={shape.depth}',
            '--time_based', f'--runtime={shape.seconds}s',
            f'--ramp_time={shape.warm_up}s',
            f'--size={shape.size_bytes or os.path.getsize(self.path)}',
            f'--cpus_allowed={TARGET_CPU}', '--output-format=json',
            '--randrepeat=0', '--norandommap', '--thread'], self.name)
        job = report['jobs'][0]
        part = job['read' if 'read' in shape.mode else 'write']
        busy = (job['usr_cpu'] + job['sys_cpu']) / 100
        quantiles = part['clat_ns'].get('percentile', {})
        return {
            'iops': part['iops'],
            'latency_us': {name: quantiles.get(key, 0) / 1000
                           for name, key in (('p50', '50.000000'),
                                             ('p99', '99.000000'),
                                             ('p999', '99.900000'))},
            'cpu_us_per_io': {
                'load': 0.0,
                'target': busy * 1e6 / part['iops'] if part['iops'] else 0}}
