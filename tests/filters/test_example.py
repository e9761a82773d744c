# SPDX-License-Identifier: Apache-2.0
"""The null filter, built as its reader would build it: with the installed
header alone."""

import fcntl
import json
import os
import subprocess
import unittest

import spawn
import tap

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get('FOREBAY_BUILD', os.path.join(TOP, 'build'))
EXAMPLE = os.path.join(TOP, 'examples/null-filter.c')
SECONDS = 60


def install_header(folder):
    """Installs the development files below @folder; returns the -I path."""
    with open(os.path.join(BUILD, 'install.lock'), 'w',
              encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild',
                        '--quiet', '--tags', 'devel', '--destdir', folder],
                       check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=SECONDS)
    for path, _, files in os.walk(folder):
        if 'filter.h' in files:
            return os.path.dirname(path)
    raise FileNotFoundError('no installed filter.h')


class Example(unittest.TestCase):

    def setUp(self):
        self.folder = spawn.folder(self)
        self.include = install_header(self.folder)
        # Nothing of the source tree is in sight of the compiler.
        self.source = os.path.join(self.folder, 'null-filter.c')
        with open(EXAMPLE, encoding='utf-8') as example, \
                open(self.source, 'w', encoding='utf-8') as copy:
            copy.write(example.read())

    def compile(self, *words):
        return subprocess.run(
            ['cc', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-I',
             self.include, *words],
            cwd=self.folder, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=SECONDS)

    def test_the_installed_header_is_all_that_a_filter_needs(self):
        done = self.compile('-std=gnu17', '-shared', '-fPIC', '-o', 'null.so',
                            'null-filter.c')
        self.assertEqual(done.stderr, '')
        described = subprocess.run(
            [os.path.join(BUILD, 'src/disk/forebay-disk'),
             '--describe-filter', os.path.join(self.folder, 'null.so')],
            capture_output=True, text=True, check=True,
            stdin=subprocess.DEVNULL, timeout=SECONDS)
        self.assertEqual(json.loads(described.stdout)['name'], 'null')

    def test_the_installed_header_stands_alone(self):
        with open(os.path.join(self.folder, 'alone.c'), 'w',
                  encoding='utf-8') as file:
            file.write('#include <forebay/filter.h>\n'
                       'extern const struct forebay_filter forebay_filter;\n')
        done = self.compile('-std=c11', '-fsyntax-only', 'alone.c')
        self.assertEqual(done.stderr, '')

    def test_a_filter_exports_one_symbol(self):
        done = self.compile('-std=gnu17', '-shared', '-fPIC',
                            '-fvisibility=hidden', '-o', 'null.so',
                            'null-filter.c')
        self.assertEqual(done.stderr, '')
        names = subprocess.run(
            ['nm', '-D', '--defined-only', '--format=posix', 'null.so'],
            cwd=self.folder, capture_output=True, text=True, check=True,
            stdin=subprocess.DEVNULL, timeout=SECONDS).stdout
        self.assertEqual([line.split()[0] for line in names.splitlines()],
                         ['forebay_filter'])


if __name__ == '__main__':
    tap.main()
