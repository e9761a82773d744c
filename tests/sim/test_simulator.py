# SPDX-License-Identifier: Apache-2.0
"""The simulator itself: one seed decides everything, and bad words are refused."""

import os
import re
import subprocess
import unittest

import tap

FOLDER = os.path.join(os.environ['FOREBAY_BUILD'], 'src', 'sim')
SIM = os.path.join(FOLDER, 'forebay-sim')
# The same sources by other compilers, and with other optimization.
OTHERS = ('forebay-sim-O0', 'forebay-sim-O2', 'forebay-sim-clang')
WORLDS = ('calm', 'crowded', 'faulty', 'damaged', 'lying')


def run(*arguments, program=SIM):
    return subprocess.run([program, *arguments], capture_output=True,
                          text=True, timeout=300, check=False)


def figures(output):
    """What a run printed, but for how fast it was."""
    return re.sub(r'[0-9.]+ states/s', '', output)


def trace(*arguments):
    output = run(*arguments).stdout
    return re.search(r'trace ([0-9a-f]{8})', output).group(1)


class Simulator(unittest.TestCase):
    def test_the_same_seed_gives_the_same_trace(self):
        first = trace('--first', '77', '--seeds', '5', '--states', '40')
        second = trace('--first', '77', '--seeds', '5', '--states', '40')
        self.assertEqual(first, second)

    def test_another_seed_gives_another_trace(self):
        self.assertNotEqual(trace('--first', '77', '--seeds', '1'),
                            trace('--first', '78', '--seeds', '1'))

    def test_every_compiler_gives_the_same_trace(self):
        others = [name for name in OTHERS
                  if os.path.exists(os.path.join(FOLDER, name))]
        if not others:
            self.skipTest('this build has no other simulators')
        for world in WORLDS:
            words = ('--first', '300', '--seeds', '3', '--states', '400',
                     '--world', world)
            expected = run(*words)
            self.assertEqual(expected.returncode, 0, expected.stdout)
            for name in others:
                with self.subTest(world=world, program=name):
                    result = run(*words, program=os.path.join(FOLDER, name))
                    self.assertEqual(figures(result.stdout),
                                     figures(expected.stdout))

    def test_no_program_but_a_test_has_the_planted_bugs(self):
        users = subprocess.run(
            ['ninja', '-C', os.environ['FOREBAY_BUILD'], '-t', 'query',
             'src/engine/libengine_planted.a'],
            capture_output=True, text=True, check=True).stdout
        users = users.split('outputs:')[1].split()
        self.assertIn('src/sim/forebay-sim', users)
        for name in users:
            self.assertRegex(name, r'^(all|src/sim/|tests/)')

    def test_every_event_of_a_seed_can_be_printed(self):
        result = run('--first', '3', '--seeds', '1', '--states', '20',
                     '--verbose')
        self.assertEqual(result.returncode, 0)
        for event in ('-> write', 'ssd write', 'ssd flush', 'io ends'):
            self.assertIn(event, result.stdout)

    def test_bad_arguments_are_refused(self):
        for arguments in (['--seeds', 'many'], ['--bug', '99'], ['extra'],
                          ['--unknown'], ['--world', 'flat'],
                          ['--programs', '99']):
            with self.subTest(arguments=arguments):
                self.assertEqual(run(*arguments).returncode, 2)


if __name__ == '__main__':
    tap.main()
