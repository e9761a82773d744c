#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hit ratios of our policy and its peers, as a table and a drawing.

usage: report.py CACHESIM [--svg FILE] [--cache BLOCKS]... [--requests N]
"""

import argparse
import subprocess

PEERS = ('LRU', 'S3-FIFO', 'ARC', 'Clock2Q+')
OURS = 'Forebay'
COLOURS = {'LRU': '#999999', 'S3-FIFO': '#d95f02', 'ARC': '#7570b3',
           'Clock2Q+': '#1b9e77', OURS: '#000000'}
PANEL_WIDTH, PANEL_HEIGHT, COLUMNS = 230, 170, 4


def measure(program, caches, requests, workload=None):
    """Returns {(workload, cache): {who: [hit ratio, ...]}}."""
    results = {}
    for cache in caches:
        command = [program, '--requests', str(requests), '--cache', str(cache)]
        if workload:
            command += ['--workload', workload]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE,
                               text=True).stdout.splitlines()
        for line in lines:
            name, blocks, who, *values = line.split('\t')
            results.setdefault((name, int(blocks)), {})[who] = [
                float(value) for value in values]
    return results


def behind(row):
    """Points of hit ratio that ours lacks to the best peer."""
    return 100 * (max(row[peer][0] for peer in PEERS) - row[OURS][0])


def table(results):
    yield '| workload | cache | ' + ' | '.join(PEERS) + \
        ' | Forebay | behind | written | moved up | in use |'
    yield '|---|---|' + '---|' * (len(PEERS) + 5)
    for (name, cache), row in sorted(results.items()):
        hits = ' | '.join(f'{100 * row[who][0]:.1f}'
                          for who in (*PEERS, OURS))
        _, written, moved, used = row[OURS]
        yield (f'| {name} | {cache} | {hits} | {behind(row):.1f} | '
               f'{written:.2f} | {moved:.2f} | {100 * used:.0f} % |')


def points(results, name, who, left, top):
    caches = sorted(cache for workload, cache in results if workload == name)
    for index, cache in enumerate(caches):
        x = left + 40 + index * (PANEL_WIDTH - 60) / max(1, len(caches) - 1)
        ratio = results[name, cache][who][0]
        yield f'{x:.0f},{top + PANEL_HEIGHT - 25 - ratio * 115:.0f}'


def panel(results, name, left, top):
    bottom = top + PANEL_HEIGHT - 25
    yield (f'<text x="{left + 40}" y="{top + 18}" '
           f'font-weight="bold">{name}</text>')
    for percent in (0, 50, 100):
        y = bottom - percent * 1.15
        yield (f'<line x1="{left + 40}" x2="{left + PANEL_WIDTH - 20}" '
               f'y1="{y}" y2="{y}" stroke="#dddddd"/>')
        yield (f'<text x="{left + 34}" y="{y + 4}" '
               f'text-anchor="end">{percent}</text>')
    for who, colour in COLOURS.items():
        width = 2.5 if who == OURS else 1.5
        yield (f'<polyline fill="none" stroke="{colour}" '
               f'stroke-width="{width}" points="'
               + ' '.join(points(results, name, who, left, top)) + '"/>')


def drawing(results):
    names = sorted({name for name, _ in results})
    rows = -(-len(names) // COLUMNS)
    width, height = COLUMNS * PANEL_WIDTH, rows * PANEL_HEIGHT + 40
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
           f'height="{height}" font-family="sans-serif" font-size="11">')
    yield '<rect width="100%" height="100%" fill="#ffffff"/>'
    for index, name in enumerate(names):
        yield from panel(results, name, index % COLUMNS * PANEL_WIDTH,
                         index // COLUMNS * PANEL_HEIGHT)
    for index, (who, colour) in enumerate(COLOURS.items()):
        x = 40 + index * 100
        yield (f'<rect x="{x}" y="{height - 26}" width="18" height="4" '
               f'fill="{colour}"/>')
        yield f'<text x="{x + 24}" y="{height - 20}">{who}</text>'
    caches = ', '.join(str(cache) for cache
                       in sorted({cache for _, cache in results}))
    yield (f'<text x="{width - 20}" y="{height - 20}" text-anchor="end">'
           f'% of blocks read that hit; caches of {caches} blocks</text>')
    yield '</svg>'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('cachesim')
    parser.add_argument('--svg', metavar='FILE')
    parser.add_argument('--cache', type=int, action='append')
    parser.add_argument('--requests', type=int, default=1000000)
    arguments = parser.parse_args()
    results = measure(arguments.cachesim,
                      arguments.cache or [4096, 8192, 16384, 32768],
                      arguments.requests)
    print('\n'.join(table(results)))
    if arguments.svg:
        with open(arguments.svg, 'w', encoding='utf-8') as file:
            file.write('\n'.join(drawing(results)) + '\n')


if __name__ == '__main__':
    main()
