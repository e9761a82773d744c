# SPDX-License-Identifier: Apache-2.0
"""Looks at every file in the repository for what must not stand in it:
words that mark unfinished work, paths of a developer's machine, files that
have grown over 800 lines, C files without a licence line or an opening
comment, and #include lines that climb out of their folder.
"""

import re
import subprocess
import sys

CODE = ('.c', '.h', '.py', '.sh', '.ts', '.tsx')
# Written so that this file doesn't match itself.
UNFINISHED = re.compile(r'TO[D]O|FI[X]ME|\bXX[X]\b|\bHAC[K]\b|for no[w]\b'
                        r'|not implemente[d]|\bstu[b]s?\b')
MACHINE = re.compile(r'(^|[^a-z])/(wor[k]|hom[e]|far[m])/'
                     r'|https?://(de[b]|registr[y]|pyp[i]|file[s]|stati[c])\.')
CLIMBS = re.compile(r'^\s*#\s*include\s+"[^"]*\.\./')
MAX_LINES = 800


def is_code(path):
    return path.endswith(CODE) or path in ('run', '.ci/run')


def findings(path, text):
    lines = text.split('\n')
    for number, line in enumerate(lines, 1):
        if is_code(path) and UNFINISHED.search(line):
            yield f'{path}:{number}: unfinished: {line.strip()}'
        if MACHINE.search(line):
            yield f'{path}:{number}: a machine\'s path: {line.strip()}'
        if CLIMBS.search(line):
            yield f'{path}:{number}: include by bare name: {line.strip()}'
        # A fuzzer's input is as it is.
        if line != line.rstrip() and not path.endswith(
                '.md') and not path.startswith('fuzz/corpus/'):
            yield f'{path}:{number}: blanks at the end of the line'
    if path.endswith(('.c', '.h')):
        if len(lines) - 1 > MAX_LINES:
            yield f'{path}: {len(lines) - 1} lines: does it hold two nouns?'
        if not lines[1:2] or not lines[1].startswith('/*'):
            yield f'{path}: no opening comment'
    if is_code(path) and 'SPDX-License-Identifier' not in '\n'.join(lines[:3]):
        yield f'{path}: no SPDX line'


def main():
    listed = subprocess.run(
        ['git', 'ls-files', '-co', '--exclude-standard', '-z'],
        capture_output=True, check=True, text=True).stdout
    bad = 0
    for path in filter(None, listed.split('\0')):
        try:
            with open(path, encoding='utf-8') as file:
                text = file.read()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        for finding in findings(path, text):
            bad += 1
            print(finding)
    sys.exit(1 if bad else 0)


main()
