#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures Forebay against its peers on this machine, and prints a table.

Every row is two things measured in turn on the same device in the same run.
Absolute figures mean little; ratios do. Speed never decides the exit status.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time

import rows
import targets

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog='./run bench', description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--quick', action='store_true',
                        help='short rounds, under two minutes')
    parser.add_argument('--json', metavar='FILE',
                        help='write the rows there too')
    parser.add_argument('--row', action='append', metavar='ID',
                        choices=sorted(rows.GROUPS),
                        help='only this row (repeat): '
                        + ', '.join(sorted(rows.GROUPS)))
    parser.add_argument('--build', metavar='FOLDER',
                        default=os.environ.get(
                            'FOREBAY_BUILD', os.path.join(TOP, 'build')),
                        help='where the programs were built')
    return parser.parse_args()


class Style:
    """Colours, where somebody looks at them."""

    def __init__(self):
        self.on = sys.stdout.isatty() and 'NO_COLOR' not in os.environ

    def paint(self, code, text):
        return f'\033[{code}m{text}\033[0m' if self.on else text

    def bold(self, text):
        return self.paint('1', text)

    def dim(self, text):
        return self.paint('2', text)

    def verdict(self, met, text):
        return self.paint({True: '32', False: '33', None: '2'}[met], text)


def thousands(value):
    return f'{value / 1000:.1f}k' if value >= 1000 else f'{value:.0f}'


def spread(side):
    return f'{thousands(side["iops_min"])}-{thousands(side["iops_max"])}'


def cpu_text(side):
    value = side['cpu_us_per_io']['target']
    return '-' if value is None else f'{value:.1f}'


COLUMNS = (('id', 4), ('what', 54), ('ours', 8), ('peer', 8), ('ratio', 7),
           ('aim', 6), ('', 4), ('p99 us', 15), ('CPU us/IO', 15),
           ('spread', 25))


def line(values):
    return ' '.join(str(value).ljust(width) if index < 2
                    else str(value).rjust(width)
                    for index, (value, (_, width))
                    in enumerate(zip(values, COLUMNS))).rstrip()


def table_line(row, style):
    if row.skipped:
        return style.dim(line((row.id, row.name)) + '  ' + row.skipped)
    if isinstance(row, rows.FigureRow):
        aim = '' if row.aim is None else f'<={row.aim:g}'
        return style.verdict(row.met(), line((
            row.id, row.name[:54], f'{row.figure:g} {row.unit}', '', '', aim,
            {True: 'met', False: 'no', None: ''}[row.met()], '', '', '')))
    document = row.document()
    ours, peer = document['ours'], document['peer']
    cost = row.unit in ('ns', 'ms')
    met = row.met()
    ratio = f'{row.ratio():.0f} {row.unit}' if cost else f'{row.ratio():.2f}x'
    aim = '' if row.aim is None else f'{"<=" if cost else ">="}{row.aim:g}'
    text = line((
        row.id, row.name[:54], thousands(ours['iops']), thousands(peer['iops']),
        ratio, aim, {True: 'met', False: 'no', None: ''}[met],
        f'{ours["latency_us"]["p99"]:.0f}/{peer["latency_us"]["p99"]:.0f}',
        f'{cpu_text(ours)}/{cpu_text(peer)}',
        f'{spread(ours)} / {spread(peer)}'))
    return style.verdict(met, text)


def print_table(results, style):
    print()
    print(style.bold(line([name for name, _ in COLUMNS])))
    for row in results:
        print(table_line(row, style))
    print()
    print(style.dim('ours and peer: IOPS, of P18 flushes a second, of P12 '
                    'milliseconds; medians; pairs: ours/peer; CPU: of the '
                    'target process'))
    notes = sorted({f'{row.id}: {row.note}' for row in results if row.note})
    for note in notes:
        print(style.dim(note))
    measured = [row for row in results if not row.skipped]
    met = sum(row.met() is True for row in measured)
    print(f'{len(measured)} rows measured, {met} aims met, '
          f'{len(results) - len(measured)} skipped')


def machine():
    model = 'unknown CPU'
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        for text in file:
            if text.startswith('model name'):
                model = text.split(':', 1)[1].strip()
                break
    return {'cpu': model, 'cpus': os.cpu_count(),
            'kernel': platform.release(),
            'load_average': os.getloadavg()[0]}


def measure(arguments, work, style):
    def say(text):
        if sys.stderr.isatty():
            print(f'\r\033[K{style.dim(text)}', end='', file=sys.stderr,
                  flush=True)

    bench = rows.Bench(arguments.build, work, arguments.quick, say)
    results = []
    try:
        groups = []
        for name in arguments.row or rows.GROUPS:
            if rows.GROUPS[name] not in groups:
                groups.append(rows.GROUPS[name])
        for group in groups:
            results += group(bench)
        kind = bench.device.kind
    finally:
        bench.close()
        say('')
    return results, kind


def main():
    arguments = parse_arguments()
    style = Style()
    began = time.monotonic()
    try:
        targets.find_built(arguments.build, 'src/cli/forebay')
    except targets.Missing as missing:
        print(f'bench: {missing} in {arguments.build}: ./run build first',
              file=sys.stderr)
        return 1
    if os.cpu_count() < 2:
        print('bench: needs two CPUs', file=sys.stderr)
        return 1
    about = machine()
    work = tempfile.mkdtemp(prefix='fbbench', dir='/tmp')
    try:
        results, kind = measure(arguments, work, style)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    seconds = time.monotonic() - began
    print(f'{about["cpu"]}, {about["cpus"]} CPUs, Linux {about["kernel"]}, '
          f'load {about["load_average"]:.1f}, device: {kind}')
    print_table(results, style)
    if about['load_average'] > about['cpus'] / 2:
        print(style.verdict(False, 'the machine was busy with other work: '
                            'believe the ratios of CPU time at most'))
    print(style.dim(f'{seconds:.0f} s'))
    if arguments.json:
        with open(arguments.json, 'w', encoding='utf-8') as file:
            json.dump({'machine': about, 'device': kind,
                       'quick': arguments.quick, 'seconds': round(seconds, 1),
                       'rows': [row.document() for row in results]}, file,
                      indent=2)
            file.write('\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
