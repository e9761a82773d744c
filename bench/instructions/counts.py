#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the instructions of an operation of the engine or of a virtqueue.

    counts.py PROGRAM COMPILER           prints what they are, and were
    counts.py PROGRAM COMPILER --renew   writes them to counts.json

They don't drift with the machine, as nanoseconds do; another compiler has
others.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'counts.json')
# Of a count: the C library chooses its memcpy() by the processor.
TOLERANCE = 0.05


def missing():
    """Why nothing can be counted here, or None."""
    return None if shutil.which('valgrind') else 'valgrind is not installed'


def names(program):
    return subprocess.run([program], stdout=subprocess.PIPE, check=True,
                          text=True).stdout.split()


def count(program, name):
    """Instructions of one such operation."""
    done = subprocess.run(
        ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null',
         '--toggle-collect=measured', program, name],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, text=True)
    collected = re.search(r'Collected : (\d+)', done.stderr)
    return round(int(collected[1]) / int(done.stdout), 1)


def read():
    """The compiler's name, and the counts by operation."""
    with open(FILE, encoding='utf-8') as file:
        known = json.load(file)
    return known['compiler'], known['counts']


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('program')
    parser.add_argument('compiler', help='name, version and optimization')
    parser.add_argument('--renew', action='store_true')
    arguments = parser.parse_args()
    why = missing()
    if why:
        sys.exit(f'counts: {why}')
    found = {name: count(arguments.program, name)
             for name in names(arguments.program)}
    if arguments.renew:
        with open(FILE, 'w', encoding='utf-8') as file:
            json.dump({'compiler': arguments.compiler, 'counts': found}, file,
                      indent=2)
            file.write('\n')
        return
    compiler, known = read()
    print(f'{"per operation":24}{"now":>10}{"kept":>10}   by {compiler}')
    for name, value in found.items():
        print(f'{name:24}{value:10}{known.get(name, "-"):>10}')


if __name__ == '__main__':
    main()
