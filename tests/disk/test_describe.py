# SPDX-License-Identifier: Apache-2.0
"""forebay-disk --describe-filter runs code that nobody has seen: what a
library does while it is loaded stays in that process."""

import ctypes
import json
import os
import signal
import subprocess
import unittest

import tap
from sanitized import is_sanitized

BUILD = os.environ['FOREBAY_BUILD']
DISK = os.path.join(BUILD, 'src/disk/forebay-disk')
FILTERS = os.path.join(BUILD, 'tests/filters')


def landlock():
    """Whether the kernel has it: asks for its version."""
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) > 0


def describe(name, seconds=60):
    return subprocess.run(
        [DISK, '--describe-filter', os.path.join(FILTERS, name + '.so')],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=seconds)


class Describe(unittest.TestCase):
    def refuse(self, name, issue, words):
        done = describe(name)
        self.assertEqual(done.returncode, 1, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual(answer['issue'], issue)
        self.assertIn(words, answer['detail'])
        self.assertIn(words, done.stderr)
        self.assertNotIn('/proc/self', done.stderr)

    def test_a_good_library_is_described(self):
        done = describe('probe-top')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)['class'], 'inspection')
        self.assertEqual(done.stderr, '')

    def test_a_bad_library_is_refused_with_its_issue(self):
        self.refuse('bad-abi', 'wrong-abi', 'ABI 99')
        self.refuse('bad-struct-size', 'wrong-abi', '16 bytes')
        self.refuse('bad-class', 'wrong-class', 'unknown class (42)')
        self.refuse('bad-name', 'bad-table', 'name')
        self.refuse('bad-submit', 'bad-table', 'lacks open')
        self.refuse('no-filter', 'missing-symbol', "'forebay_filter'")
        self.refuse('unlinked', 'missing-symbol', 'nobody_has_this')
        self.refuse('test_describe', 'not-loadable', 'No such file')

    def test_a_crash_ends_the_process_and_no_other(self):
        # A sanitizer ends the process by itself.
        self.assertEqual(describe('rude-crash').returncode,
                         1 if is_sanitized() else -signal.SIGSEGV)

    def test_a_library_that_hangs_is_left_to_who_asked(self):
        with self.assertRaises(subprocess.TimeoutExpired):
            describe('rude-hang', 2)

    def test_a_library_that_breaks_out_is_ended(self):
        if is_sanitized():
            self.skipTest('a sanitized build has no list of system calls')
        for name, call in (('rude-socket', 'socket'), ('rude-write', 'openat'),
                           ('rude-fork', 'clone'), ('rude-chmod', 'chmod')):
            with self.subTest(name):
                done = describe(name)
                self.assertEqual(done.returncode, -signal.SIGSYS, done.stderr)
                self.assertIn(f'the system call {call} ', done.stderr)

    def test_a_library_reads_no_file_but_the_systems_libraries(self):
        if is_sanitized() or not landlock():
            self.skipTest('no Landlock here')
        done = describe('rude-read')
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == '__main__':
    tap.main()
