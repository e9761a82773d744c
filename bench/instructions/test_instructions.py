# SPDX-License-Identifier: Apache-2.0
"""No operation takes more instructions than is kept in counts.json.

Nor fewer, or what was won could be lost again unseen: then the file is renewed,
`meson compile -C build renew-instruction-counts`, with the change that does it.
"""

import os
import unittest

import counts
import tap

PROGRAM = os.environ['INSTRUCTIONS']
COMPILER = os.environ['INSTRUCTIONS_COMPILER']


class Instructions(unittest.TestCase):
    def setUp(self):
        compiler, self.known = counts.read()
        why = counts.missing()
        if why is None and compiler != COMPILER:
            why = f'counted for {compiler}, built by {COMPILER}'
        if why:
            self.skipTest(why)

    def test_each_operation_takes_the_instructions_that_are_kept(self):
        for name, known in self.known.items():
            with self.subTest(operation=name):
                found = counts.count(PROGRAM, name)
                self.assertAlmostEqual(found / known, 1,
                                       delta=counts.TOLERANCE,
                                       msg=f'{found} now, {known} kept')

    def test_every_operation_is_kept(self):
        self.assertEqual(counts.names(PROGRAM), list(self.known))


if __name__ == '__main__':
    tap.main()
