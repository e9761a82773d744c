#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The engine's curve against simulations of the engine, as a table.

usage: advice.py CACHESIM [--cache BLOCKS]... [--requests N]

Ends with 1 if the curve is more than three points off anywhere.
"""

import argparse
import collections
import subprocess
import sys

AIM = 3.0


class Row(collections.namedtuple('Row', 'workload cache blocks told '
                                        'simulated')):
    @property
    def off(self):
        """Points of hit ratio by which the curve is too high."""
        return 100 * (self.told - self.simulated)


def measure(program, cache, requests, workload=None, sizes=()):
    command = [program, '--advice', '--requests', str(requests), '--cache',
               str(cache)]
    if workload:
        command += ['--workload', workload]
    for size in sizes:
        command += ['--size', str(size)]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE,
                           text=True).stdout.splitlines()
    fields = (line.split('\t') for line in lines)
    return [Row(name, int(own), int(blocks), float(told), float(simulated))
            for name, own, blocks, told, simulated in fields]


def table(rows):
    yield '| workload | cache | size | by the curve | simulated | off |'
    yield '|---|---|---|---|---|---|'
    for row in rows:
        yield (f'| {row.workload} | {row.cache} | {row.blocks} | '
               f'{100 * row.told:.1f} | {100 * row.simulated:.1f} | '
               f'{row.off:+.1f} |')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('program')
    parser.add_argument('--cache', type=int, action='append')
    parser.add_argument('--requests', type=int, default=400000)
    arguments = parser.parse_args()
    rows = []
    for cache in arguments.cache or [16384]:
        rows += measure(arguments.program, cache, arguments.requests)
    print('\n'.join(table(rows)))
    sys.exit(any(abs(row.off) > AIM for row in rows))


if __name__ == '__main__':
    main()
