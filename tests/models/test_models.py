# SPDX-License-Identifier: Apache-2.0
"""Spin looks at every order of steps of the models in this folder.

A model as it is must have no error; with each error that its head lists under
"Planted errors" it must have one, or it would prove nothing.
"""

import os
import re
import shutil
import subprocess
import unittest

import tap
from spawn import folder

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 300
MEMORY_MIB = 2048


def models():
    return sorted(name for name in os.listdir(HERE) if name.endswith('.pml'))


def planted(path):
    with open(path, encoding='utf-8') as file:
        text = file.read()
    listed = re.search(r'Planted errors: ([A-Z_,\s*]+)\.', text).group(1)
    return re.findall(r'[A-Z_]+', listed)


class Models(unittest.TestCase):

    def setUp(self):
        if not shutil.which('spin'):
            self.skipTest('spin is not installed')

    def run_in(self, work, *words):
        done = subprocess.run(words, cwd=work, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=SECONDS,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def search(self, path, *options):
        """Returns (errors, states) of the whole search, or of its first."""
        work = folder(self)
        self.run_in(work, 'spin', '-a', *options, path)
        self.run_in(work, 'gcc', '-O2', '-w', '-DSAFETY', '-DCOLLAPSE',
                    f'-DMEMLIM={MEMORY_MIB}', '-o', 'pan', 'pan.c')
        report = self.run_in(work, './pan', '-m1000000', '-n')
        self.assertNotIn('search depth too small', report)
        self.assertNotIn('out of memory', report)
        errors = int(re.search(r'errors: (\d+)', report).group(1))
        states = int(re.search(r'(\d+) states, stored', report).group(1))
        return errors, states

    def test_models_hold(self):
        for name in models():
            with self.subTest(name):
                errors, states = self.search(os.path.join(HERE, name))
                print(f'# {name}: {states} states')
                self.assertEqual(errors, 0)
                self.assertGreater(states, 1000)

    def test_each_planted_error_is_found(self):
        for name in models():
            path = os.path.join(HERE, name)
            errors = planted(path)
            self.assertGreater(len(errors), 2)
            for error in errors:
                with self.subTest(f'{name}: {error}'):
                    self.assertGreater(self.search(path, f'-D{error}')[0], 0)


if __name__ == '__main__':
    tap.main()
