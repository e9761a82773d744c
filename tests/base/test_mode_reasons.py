# SPDX-License-Identifier: Apache-2.0
"""The reasons in docs/modes.md are those of the code, each once."""
import os
import re
import subprocess
import sys
import unittest

import tap

PAGE = os.path.join(os.path.dirname(__file__), '../../docs/modes.md')
PRINTER = sys.argv.pop(1)


def of_the_code():
    output = subprocess.run([PRINTER], stdout=subprocess.PIPE, text=True,
                            check=True).stdout
    return [line.split('\t') for line in output.splitlines()]


def of_the_page():
    with open(PAGE, encoding='utf-8') as page:
        text = page.read().split('\n## Reasons\n')[1].split('\n## ')[0]
    return re.findall(r'^\| `([a-z-]+)` \| ([^|]+) \|', text, re.M)


class ModeReasons(unittest.TestCase):
    def test_the_page_has_the_codes_that_programs_get(self):
        self.assertEqual([code for code, _ in of_the_page()],
                         [code for code, _ in of_the_code()])

    def test_each_code_is_there_once_and_easy_to_type(self):
        codes = [code for code, _ in of_the_code()]
        self.assertEqual(len(set(codes)), len(codes))
        for code, words in of_the_code():
            self.assertRegex(code, '^[a-z]+(-[a-z]+)*$')
            self.assertTrue(words)


if __name__ == '__main__':
    tap.main()
