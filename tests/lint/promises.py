# SPDX-License-Identifier: Apache-2.0
"""Every promise of docs/durability.md has tests, and they are there."""

import os
import re
import sys

TABLE = 'docs/durability.md'
SECTION = '## Faults'
NAME = re.compile(r'`([A-Za-z0-9_-]+)`')


def promises():
    """(line, [names]) of each row of the table."""
    inside = False
    with open(TABLE, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            if line.startswith('## '):
                inside = line.strip() == SECTION
            cells = line.strip().strip('|').split('|')
            head = cells[0].strip()
            if inside and line.startswith('|') and head != 'fault' \
                    and head.strip('-'):
                yield number, NAME.findall(cells[-1])


def test_names():
    """Functions of C and Python, and what meson.build files call tests."""
    names = set()
    for folder, _, files in os.walk('tests'):
        for name in files:
            if not name.endswith(('.c', '.py', '.build')):
                continue
            with open(os.path.join(folder, name), encoding='utf-8') as file:
                text = file.read()
            names |= set(re.findall(r'^static void (\w+)\(\s*void \*\*', text,
                                    re.M))
            names |= set(re.findall(r'def test_(\w+)\(', text))
            names |= set(re.findall(r"'([a-z0-9-]+)'", text))
    return names


def main():
    names = test_names()
    # The simulator's worlds: a test each, put together in its meson.build.
    names |= {'crash-states-' + name for name in names}
    bad = rows = 0
    for number, tests in promises():
        rows += 1
        if not tests:
            bad += 1
            print(f'{TABLE}:{number}: a promise without a test')
        for name in tests:
            if name not in names:
                bad += 1
                print(f'{TABLE}:{number}: no test is called {name}')
    if rows < 30:
        bad += 1
        print(f'{TABLE}: {rows} promises were found')
    sys.exit(1 if bad else 0)


main()
