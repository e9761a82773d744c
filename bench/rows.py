# SPDX-License-Identifier: Apache-2.0
"""The rows of the table: what is compared with what, and what we aim for.

A row is measured in rounds: ours, peer, ours, peer ... so that whatever else
the machine does hits both. Its figure is the median of the rounds.
"""

import json
import os
import statistics
import subprocess

import devices
import targets
from targets import POLL, SAME, XCORE, Shape

MIB = 1 << 20


class Row:
    """One comparison; run() fills the rest in."""

    latency_path = ('latency_us',)

    def __init__(self, row_id, name, aim, unit='IOPS'):
        self.id = row_id
        self.name = name
        self.aim = aim
        self.unit = unit
        self.ours = []
        self.peers = []
        self.peer_name = ''
        self.note = ''
        self.skipped = ''

    def add(self, ours, peer):
        self.ours.append(ours)
        self.peers.append(peer)

    @staticmethod
    def middle(results, *path):
        """The median, or None where it isn't known."""
        values = []
        for result in results:
            for key in path:
                result = result[key]
            if result is not None:
                values.append(result)
        return statistics.median(values) if values else None

    def figure(self, result):
        """What is compared; here more is better."""
        return result['iops']

    def ratio(self):
        peer = statistics.median(map(self.figure, self.peers))
        ours = statistics.median(map(self.figure, self.ours))
        return ours / peer if peer else 0.0

    def met(self):
        return None if self.aim is None else self.ratio() >= self.aim

    def document(self):
        if self.skipped:
            return {'id': self.id, 'name': self.name, 'aim': self.aim,
                    'skipped': self.skipped}
        return {
            'id': self.id, 'name': self.name, 'unit': self.unit,
            'ours': self.side(self.ours), 'peer': {
                'name': self.peer_name, **self.side(self.peers)},
            'ratio': round(self.ratio(), 3), 'aim': self.aim,
            'met': self.met(), 'note': self.note}

    def side(self, results):
        iops = [self.figure(result) for result in results]
        path = self.latency_path
        return {
            'iops': round(statistics.median(iops)),
            'iops_min': round(min(iops)), 'iops_max': round(max(iops)),
            'latency_us': {name: round(self.middle(results, *path, name), 1)
                           for name in ('p50', 'p99', 'p999')},
            'cpu_us_per_io': {name: self.cpu(results, name)
                              for name in ('target', 'load')}}

    def cpu(self, results, name):
        value = self.middle(results, 'cpu_us_per_io', name)
        return None if value is None else round(value, 2)


class FlushRow(Row):
    """Flushes a second."""

    latency_path = ('requests', 'flush', 'latency_us')

    def figure(self, result):
        return result['requests']['flush']['count'] / result['seconds']


class CostRow(Row):
    """What something adds to each request, in nanoseconds: lower is better."""

    def __init__(self, row_id, name, aim, count):
        super().__init__(row_id, name, aim, 'ns')
        self.count = count

    def cost_ns(self):
        each = [(ours['cpu_us_per_io']['target']
                 - peer['cpu_us_per_io']['target']) * 1000 / self.count
                for ours, peer in zip(self.ours, self.peers)]
        return statistics.median(each)

    def ratio(self):
        return self.cost_ns()

    def met(self):
        return self.cost_ns() <= self.aim


class StallRow(Row):
    """How long a disk is away, in milliseconds: lower is better."""

    def __init__(self, row_id, name, aim):
        super().__init__(row_id, name, aim, 'ms')

    def figure(self, result):
        return result['latency_us']['max'] / 1000

    def ratio(self):
        return statistics.median(map(self.figure, self.ours))

    def met(self):
        return self.ratio() <= self.aim


class FigureRow:
    """One figure of ours against an aim: lower is better."""

    note = ''
    skipped = ''

    def __init__(self, row_id, name, aim, unit, figure):
        self.id = row_id
        self.name = name
        self.aim = aim
        self.unit = unit
        self.figure = figure

    def met(self):
        return None if self.aim is None else self.figure <= self.aim

    def document(self):
        return {'id': self.id, 'name': self.name, 'unit': self.unit,
                'ours': self.figure, 'aim': self.aim, 'met': self.met()}


class Bench:
    """The files, the daemon, and how long to measure."""

    def __init__(self, build, work, quick, say):
        self.build = build
        self.work = work
        self.rounds = 3 if quick else 7
        self.seconds = 0.4 if quick else 2.0
        self.warm_up = 0.1 if quick else 0.5
        self.data_bytes = 128 * MIB if quick else 512 * MIB
        self.say = say
        self.quick = quick
        # Cache file, write log and the raw file of the peers share it.
        self.device = devices.open_device(os.path.join(work, 'fast'),
                                          4608 * MIB)
        self.backend = None
        self.daemon = None
        try:
            self.backend = devices.open_device(os.path.join(work, 'slow'),
                                               2048 * MIB)
        except BaseException:
            self.device.close()
            raise

    def close(self):
        if self.daemon:
            self.daemon.stop()
        self.backend.close()
        self.device.close()

    def raw_file(self):
        """The peers' file on the fast device."""
        path = os.path.join(self.device.folder, 'raw')
        if not os.path.exists(path):
            devices.make_file(path, self.data_bytes)
        return path

    def backend_file(self, name):
        path = os.path.join(self.backend.folder, name)
        if not os.path.exists(path):
            devices.make_file(path, self.data_bytes)
        return path

    def cached_disk(self, name, limit_bytes=1024 * MIB, **properties):
        """A disk with a write-back cache on the fast device."""
        if not self.daemon:
            self.daemon = targets.CacheDaemon(
                self.build, self.work,
                os.path.join(self.device.folder, 'pool'))
        disk = targets.Disk(self.build, self.work, self.backend_file(name),
                            name)
        return disk.add_cache(self.daemon, limit_bytes, **properties)

    def shape(self, mode, depth):
        return Shape(mode, depth, self.data_bytes, self.warm_up, self.seconds)

    def compare(self, row, pair, shape, placement):
        """Measures @pair = (ours, peer), which run already."""
        ours, peer = pair
        row.peer_name = peer.name
        self.say(f'{row.id} {row.name}')
        for _ in range(self.rounds):
            row.add(ours.measure(shape, placement),
                    peer.measure(shape, placement))
        return row


def skip(cells, reason):
    rows = []
    for cell in cells:
        row = Row(*cell[:3])
        row.skipped = reason
        rows.append(row)
    return rows


def title(what, depth, placement):
    return f'{what}, QD{depth}, {placement.name}'


READ_AIMS = ((1, SAME, 1.0), (32, SAME, 1.5), (1, XCORE, 1.5),
             (32, XCORE, 1.0), (1, POLL, 1.3), (32, POLL, 1.0))
WRITE_AIMS = ((1, SAME, 1.0), (32, SAME, 1.5), (1, XCORE, 1.0),
              (32, XCORE, 1.5))


def read_hits(bench):
    """P1 and P2: 4 KiB reads of what the cache holds."""
    cells = [('P1', title('read hit 4k vs raw fio', 32, SAME), 0.95)]
    cells += [('P2', title('read hit 4k vs qsd uncached', depth, place), aim)
              for depth, place, aim in READ_AIMS]
    started = []
    try:
        ours = bench.cached_disk('hits').start()
        started.append(ours)
        qsd = targets.StorageDaemon(bench.build, bench.work,
                                    bench.raw_file()).start()
        started.append(qsd)
        ours.fill(bench.data_bytes)
        before = ours.hits()
        rows = [bench.compare(Row(*cells[0]),
                              (ours, targets.Fio(bench.raw_file())),
                              bench.shape('randread', 32), SAME)]
        for cell, (depth, place, _) in zip(cells[1:], READ_AIMS):
            rows.append(bench.compare(Row(*cell), (ours, qsd),
                                      bench.shape('randread', depth), place))
        hit, miss = (end - begin for begin, end in zip(before, ours.hits()))
        share = hit / (hit + miss) if hit + miss else 0
        for row in rows:
            row.note = f'{share:.1%} hits'
        return rows
    except targets.Missing as missing:
        return skip(cells, str(missing))
    finally:
        for target in started:
            target.stop()


def write_back(bench):
    """P3: 4 KiB writes that the log takes."""
    cells = [('P3', title('write-back 4k vs qsd raw', depth, place), aim)
             for depth, place, aim in WRITE_AIMS]
    started = []
    try:
        ours = bench.cached_disk('writes').start()
        started.append(ours)
        qsd = targets.StorageDaemon(bench.build, bench.work,
                                    bench.raw_file(), 'qsd-w').start()
        started.append(qsd)
        return [bench.compare(Row(*cell), (ours, qsd),
                              bench.shape('randwrite', depth), place)
                for cell, (depth, place, _) in zip(cells, WRITE_AIMS)]
    except targets.Missing as missing:
        return skip(cells, str(missing))
    finally:
        for target in started:
            target.stop()


def engine(bench):
    """P6, P7: what the engine costs, over an SSD that takes no time."""
    try:
        program = targets.find_built(bench.build,
                                     'bench/engine_ops/engine-ops')
    except targets.Missing as missing:
        return skip([('P6', 'the engine, per operation', None)], str(missing))
    bench.say('the engine, per operation')
    found = json.loads(subprocess.run([program], stdout=subprocess.PIPE,
                                      check=True).stdout)
    rows = []
    for key, what, aim in (('read_hit', 'read hit', 120),
                           ('write_dirty', 'write of a dirty block', 250),
                           ('write_newly_dirty', 'write of a clean one', 300),
                           ('read_miss', 'read miss in a full cache', 350)):
        rows.append(FigureRow('P6', f'engine: {what}, without checks', aim,
                              'ns', found[key]['bare_ns']))
        rows.append(FigureRow('P6', f'engine: {what}, checked', None, 'ns',
                              found[key]['ns']))
    for fill, aim in (('100', 10), ('25', 10), ('6', 14)):
        rows.append(FigureRow('P7', 'index memory per cached 4 KiB, '
                              f'{fill} % of a leaf', aim, 'B',
                              found['bytes_per_block'][fill]))
        rows.append(FigureRow('P7', f'look-up in it, {fill} % of a leaf', 100,
                              'ns', found['lookup_ns'][fill]))
    for depth, aim in (('1', None), ('32', 1.1)):
        rows.append(FigureRow('P7', f'SSD bytes per byte written, QD{depth}',
                              aim, 'B', found['ssd_bytes_per_byte'][depth]))
    return rows


def null_filter(bench):
    """P8: what a filter that does nothing costs a request."""
    count = 8
    name = f'a further filter ({count} null filters vs none)'
    started = []
    try:
        path = bench.raw_file()
        with_filters = targets.Disk(bench.build, bench.work, path, 'filters')
        with_filters.add_null_filters(count)
        started.append(with_filters.start())
        bare = targets.Disk(bench.build, bench.work,
                            bench.backend_file('bare'), 'bare')
        started.append(bare.start())
        return [bench.compare(CostRow('P8', name, 20, count),
                              (with_filters, bare),
                              bench.shape('randread', 32), POLL)]
    except targets.Missing as missing:
        return skip([('P8', name, 20)], str(missing))
    finally:
        for target in started:
            target.stop()


def bare_export(bench):
    """E1: the export itself, without any filter."""
    cells = [('E1', title('uncached export 4k vs qsd', depth, place), 1.0)
             for depth, place in ((1, SAME), (32, SAME), (32, POLL))]
    started = []
    try:
        ours = targets.Disk(bench.build, bench.work,
                            bench.backend_file('export'), 'export').start()
        started.append(ours)
        qsd = targets.StorageDaemon(bench.build, bench.work,
                                    bench.backend_file('peer'),
                                    'qsd-e').start()
        started.append(qsd)
        return [bench.compare(Row(*cell), (ours, qsd),
                              bench.shape('randread', depth), place)
                for cell, (depth, place) in zip(
                    cells, ((1, SAME), (32, SAME), (32, POLL)))]
    except targets.Missing as missing:
        return skip(cells, str(missing))
    finally:
        for target in started:
            target.stop()


def nbd(bench):
    """P5: the NBD export, 4 KiB at depth 32 on one CPU."""
    cells = [('P5', f'NBD {what} 4k vs {peer}, QD32, same CPU', aim)
             for peer, aim in (('nbdkit', 1.3), ('qemu-nbd', 1.5))
             for what in ('read', 'write')]
    started = []
    try:
        # One file each: servers lock theirs.
        ours = targets.Disk(bench.build, bench.work,
                            bench.backend_file('nbd'), 'nbd').over_nbd()
        started.append(ours.start())
        rows = []
        for number, kind in enumerate((targets.Nbdkit, targets.QemuNbd)):
            peer = kind(bench.build, bench.work,
                        bench.backend_file('nbd-peer'))
            started.append(peer.start())
            for index, mode in enumerate(('randread', 'randwrite')):
                rows.append(bench.compare(
                    Row(*cells[2 * number + index]), (ours, peer),
                    bench.shape(mode, 32), SAME))
            started.pop().stop()
        return rows
    except targets.Missing as missing:
        return skip(cells, str(missing))
    finally:
        for target in started:
            target.stop()


def flushes(bench):
    """P18: a flush with nothing to do, and one behind a 4 KiB write."""
    cells = [('P18', 'empty flush vs qsd raw, QD1, same CPU', None),
             ('P18', 'write 4k and flush vs qsd raw, QD1, same CPU', 0.95)]
    words = (('--flush', 100), ('--flush-every', 1))
    started = []
    try:
        # Small: the other rows' cache files are still on the device.
        ours = bench.cached_disk('flushes', 256 * MIB).start()
        started.append(ours)
        qsd = targets.StorageDaemon(bench.build, bench.work,
                                    bench.raw_file(), 'qsd-f').start()
        started.append(qsd)
        rows = []
        for cell, more in zip(cells, words):
            shape = bench.shape('randwrite', 1)
            shape.words = more
            rows.append(bench.compare(FlushRow(*cell), (ours, qsd), shape,
                                      SAME))
        return rows
    except targets.Missing as missing:
        return skip(cells, str(missing))
    finally:
        for target in started:
            target.stop()


def kills(bench):
    """P12: how long a kill -9 keeps a VM waiting, its VMM's pause aside."""
    cell = ('P12', 'first I/O after kill -9, dirty cache; qsd raw', 50)
    started = []
    try:
        # Nothing is written back in an hour but what has no room.
        ours = bench.cached_disk('kills', max_dirty_age='1h').start()
        started.append(ours)
        qsd = targets.StorageDaemon(bench.build, bench.work,
                                    bench.raw_file(), 'qsd-k').start()
        started.append(qsd)
        ours.fill(bench.data_bytes)
        row = StallRow(*cell)
        row.peer_name = qsd.name
        dirty = ours.dirty_bytes() // 4096
        bench.say(f'{row.id} {row.name}')
        for _ in range(bench.rounds):
            row.add(ours.stall(), qsd.stall())
        row.note = (f'{dirty} dirty blocks of 4 KiB; from the kill, another '
                    'process started at once')
        return [row]
    except targets.Missing as missing:
        return skip([cell], str(missing))
    finally:
        for target in started:
            target.stop()


GROUPS = {'P1': read_hits, 'P2': read_hits, 'P3': write_back,
          'P5': nbd, 'P6': engine, 'P7': engine, 'P8': null_filter,
          'P12': kills, 'P18': flushes, 'E1': bare_export}
