# SPDX-License-Identifier: Apache-2.0
"""Checks the layer rule on what the compiler is really given.

The build gives each folder the include paths of the layers that its
meson.build names, and of the layers that their headers need. This reads
compile_commands.json of the build folder in the first argument and compares
these paths with the table of ARCHITECTURE.md, kept here as data, so that a
layer can't gain a dependency unseen.
"""

import json
import os
import re
import shlex
import sys

BELOW_DISK = {'include', 'src/base', 'src/os', 'src/event', 'src/ipc',
              'src/pipeline', 'src/backend', 'src/sidecar', 'src/export'}

MAY_USE = {
    'src/base': set(),
    'src/os': {'src/base'},
    'src/event': {'src/base', 'src/os'},
    'src/ipc': {'src/base', 'src/os', 'src/event'},
    'src/pipeline': {'src/base', 'src/os', 'src/event', 'src/ipc',
                     'src/backend', 'src/sidecar', 'include'},
    'src/sidecar': {'src/base'},
    'src/backend': {'src/base', 'src/os', 'src/event', 'src/sidecar'},
    'src/export': {'src/base', 'src/os', 'src/event', 'src/pipeline'},
    'src/disk': BELOW_DISK,
    'src/engine': {'src/base'},
    'src/runner': {'src/base', 'src/engine', 'include'},
    'src/cached': {'src/base', 'src/os', 'src/event', 'src/ipc', 'src/engine',
                   'src/runner'},
    'src/bundle': {'src/base', 'src/os'},
    'src/agent': {'src/base', 'src/os', 'src/event', 'src/ipc',
                  'src/backend', 'src/bundle'},
    'src/load': {'src/base', 'src/os'},
    'src/rescue': {'src/base', 'src/os', 'src/backend', 'src/engine'},
    'src/trace': {'src/base', 'src/os', 'src/load', 'include'},
    'src/cli': {'src/base', 'src/os', 'src/bundle', 'src/load',
                'src/rescue'},
    'src/sim': {'src/base', 'src/engine'},
    'filters/cache': {'include', 'src/base', 'src/engine', 'src/runner'},
    'filters/trace': {'include', 'src/base', 'filters'},
    'filters': {'include'},
    'examples': {'include'},
}
ANYTHING = ('tests', 'bench', 'fuzz')


def closure(layer):
    """The layers of a row and, as headers include headers, of theirs."""
    found = set()
    queue = list(MAY_USE[layer])
    while queue:
        row = queue.pop()
        if row not in found:
            found.add(row)
            queue += MAY_USE.get(row, ())
    return found


def layer_of(path):
    """The row of the table that rules @path, or None."""
    if path.split('/')[0] in ANYTHING:
        return None
    while path:
        if path in MAY_USE:
            return path
        path = os.path.dirname(path)
    return None


def used_by(entry, top):
    """Folders of the source tree that this compilation searches."""
    for match in re.finditer(r'^-(?:I|isystem)(.+)$',
                             '\n'.join(shlex.split(entry['command'])), re.M):
        path = os.path.realpath(os.path.join(entry['directory'],
                                             match.group(1)))
        inside = os.path.relpath(path, top)
        if not inside.startswith(('..', 'build')):
            yield inside


def main():
    top = os.getcwd()
    with open(os.path.join(sys.argv[1], 'compile_commands.json'),
              encoding='utf-8') as file:
        entries = json.load(file)
    bad = set()
    for entry in entries:
        source = os.path.relpath(os.path.realpath(os.path.join(
            entry['directory'], entry['file'])), top)
        if not entry['output'].startswith(os.path.dirname(source)):
            continue  # compiled again into a test of its own
        layer = layer_of(os.path.dirname(source))
        if layer is None:
            continue
        for used in used_by(entry, top):
            row = layer_of(used) or used
            own = os.path.dirname(source)
            if used == own or row == layer or used == '.':
                continue
            allowed = closure(layer)
            if used.split('/')[0] == 'include':
                row = 'include'
            if row not in allowed:
                bad.add(f'{layer} may not use {row} ({source})')
    for line in sorted(bad):
        print(line)
    sys.exit(1 if bad else 0)


main()
