#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Formats of json_pack() have an argument for each of their letters.

No compiler counts them: what is missing is read from wherever the stack has it,
and what is too much is left out of the document without a word.
"""

import re
import subprocess
import sys

CALL = re.compile(r'\bjson_(?:un)?pack(_ex)?\(')
# Arguments before the format: value, error and flags of the _ex forms.
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


def arguments_of(text, start):
    """The texts between the commas of the call whose '(' is before @start."""
    arguments = ['']
    depth = 0
    at = start
    while True:
        letter = text[at]
        if letter == '"':
            literal = LITERAL.match(text, at)
            arguments[-1] += literal.group(0)
            at = literal.end()
            continue
        if letter in '([{':
            depth += 1
        elif letter in ')]}':
            if depth == 0:
                return arguments
            depth -= 1
        if letter == ',' and depth == 0:
            arguments.append('')
        else:
            arguments[-1] += letter
        at += 1


def wanted(form):
    """How many arguments a format takes."""
    count = 0
    for match in re.finditer(r'[siIbfFoOn]([#%]?)', form):
        if match.group(0)[0] != 'n':
            count += 2 if match.group(1) else 1
    return count


def check(path):
    with open(path, encoding='utf-8') as file:
        text = file.read()
    text = re.sub(r'/\*.*?\*/|//[^\n]*',
                  lambda found: re.sub(r'[^\n]', ' ', found.group(0)), text,
                  flags=re.S)
    faults = []
    for call in CALL.finditer(text):
        arguments = arguments_of(text, call.end())
        forms = [i for i, argument in enumerate(arguments)
                 if argument.strip().startswith('"')]
        # A format that isn't spelled out here isn't counted.
        if not forms:
            continue
        first = forms[0]
        pieces = arguments[first].strip()
        if LITERAL.sub('', pieces).strip():
            continue
        form = ''.join(LITERAL.findall(pieces))
        given = len(arguments) - first - 1
        if wanted(form) != given:
            line = text.count('\n', 0, call.start()) + 1
            faults.append(f'{path}:{line}: the format takes {wanted(form)} '
                          f'arguments and gets {given}')
    return faults


def main():
    files = subprocess.run(['git', 'ls-files', '*.c', '*.h'], check=True,
                           stdout=subprocess.PIPE, text=True).stdout.split()
    faults = [fault for path in files for fault in check(path)]
    print('\n'.join(faults) if faults else 'formats and arguments agree')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
