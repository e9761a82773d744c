# SPDX-License-Identifier: Apache-2.0
"""./run soak, in short: what it says, and that a failure is one."""

import os
import re
import subprocess
import sys
import unittest

import spawn
import tap
from forebay import BUILD

SOAK = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'run.py')


def soak(build, *words):
    return subprocess.run(
        [sys.executable, SOAK, '--mixed-kills', '0', '--hits', '0', '--cuts', '0',
         '--fuzz', '0', '--programs', '0', *words],
        env=dict(os.environ, FOREBAY_BUILD=build), text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=600,
        preexec_fn=spawn.die_with_parent)


class Soak(unittest.TestCase):

    def fake_build(self, script):
        """A build whose simulator is @script."""
        build = spawn.folder(self)
        folder = os.path.join(build, 'src/sim')
        os.makedirs(folder)
        path = os.path.join(folder, 'forebay-sim')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'#!/bin/sh\n{script}\n')
        os.chmod(path, 0o755)
        return build

    def test_it_kills_as_often_as_asked_and_says_what_it_did(self):
        done = soak(BUILD, '--kills', '2', '--states', '0', '--seed', '7')
        self.assertEqual(done.returncode, 0, done.stdout)
        found = re.search(r'held +kill -9, [\d:]+: (\d+) of forebay-disk.*; '
                          r'([\d,]+) requests.*, ([\d,]+) blocks read back',
                          done.stdout)
        self.assertTrue(found, done.stdout)
        # One more if the last way to kill takes two.
        self.assertIn(int(found[1]), (2, 3))
        self.assertGreater(int(found[3].replace(',', '')), 0)
        self.assertIn('seed 7', done.stdout)
        self.assertIn('1 parts, 0 failed', done.stdout)

    def test_parts_left_out_are_not_run(self):
        done = soak(self.fake_build('exit 1'), '--kills', '0', '--states', '0')
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn('0 parts', done.stdout)

    def test_states_are_added_up(self):
        build = self.fake_build(
            'echo "200010 crash states, 60 recovered, $((400 + $2)) states/s"')
        done = soak(build, '--kills', '0', '--states', '600000', '--seed',
                    '0')
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, 'held +crash states, .*: 600,030 '
                         'states of 150 seeds, 450 states/s per core')

    def test_a_simulator_that_says_nothing_is_a_failure(self):
        done = soak(self.fake_build('exit 0'), '--kills', '0', '--states', '1')
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn('FAILED  crash states', done.stdout)

    def test_a_part_that_finds_something_makes_it_fail(self):
        build = self.fake_build('echo a block is lost; exit 1')
        done = soak(build, '--kills', '0', '--states', '1', '--programs', '2')
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn('FAILED  crash states', done.stdout)
        self.assertIn('FAILED  programs', done.stdout)
        self.assertIn('a block is lost', done.stdout)


if __name__ == '__main__':
    tap.main()
