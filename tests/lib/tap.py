# SPDX-License-Identifier: Apache-2.0
"""Runs the unittest.TestCase classes of a test file and prints TAP.

A test file ends with

    if __name__ == '__main__':
        tap.main()

Methods are called test_a_sentence_about_one_behaviour; the sentence is the
name that meson shows. TAP goes to the real stdout; what tests print goes to
stderr, so that it can't be mistaken for a result. SIGTERM (meson's timeout)
fails the running test by an exception, so that its clean-ups run and no
process is left behind.
Arguments choose tests: a word selects the tests whose name contains it.
"""

import os
import signal
import sys
import time
import traceback
import unittest


def sentence(test):
    """The name under which a test is reported."""
    name = getattr(test, '_testMethodName', str(test))
    return name[len('test_'):] if name.startswith('test_') else name


class TapResult(unittest.TestResult):
    """Prints one TAP line a test; subtests that fail fail their test."""

    def __init__(self, out, total):
        super().__init__()
        self.out = out
        self.count = 0
        self.failed = 0
        self.reason = None
        self.trouble = None
        self.line('TAP version 13')
        self.line(f'1..{total}')

    def line(self, text):
        self.out.write(text + '\n')
        self.out.flush()

    def startTest(self, test):
        super().startTest(test)
        self.reason = None
        self.trouble = None
        self.started = time.monotonic()

    def addError(self, test, err):
        super().addError(test, err)
        self.remember(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.remember(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.remember(subtest, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.reason = reason

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.trouble = 'passed, though it is expected to fail'

    def remember(self, test, err):
        text = ''.join(traceback.format_exception(*err))
        if not hasattr(test, '_testMethodName') and not hasattr(
                test, 'test_case'):
            # setUpClass or setUpModule: no stopTest() follows.
            self.report(f'set-up of {test}', text, None)
            return
        self.trouble = (self.trouble or '') + text

    def stopTest(self, test):
        super().stopTest(test)
        took = time.monotonic() - self.started
        print(f'# {sentence(test)} took {took:.2f} s', file=sys.stderr)
        self.report(sentence(test), self.trouble, self.reason)

    def report(self, name, trouble, reason):
        self.count += 1
        if trouble:
            self.failed += 1
            for text in trouble.rstrip().split('\n'):
                self.line('# ' + text)
            self.line(f'not ok {self.count} - {name}')
        elif reason is not None:
            self.line(f'ok {self.count} - {name} # SKIP {reason}')
        else:
            self.line(f'ok {self.count} - {name}')


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


class Stopped(Exception):
    """Fails the running test, so that its clean-ups run."""


def main(module='__main__', words=None):
    """Runs all tests of @module and exits: 0 if none failed, else 1."""
    out = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    words = sys.argv[1:] if words is None else words
    tests = unittest.defaultTestLoader.loadTestsFromModule(
        sys.modules[module])
    chosen = [test for test in flatten(tests)
              if not words or any(word in test.id() for word in words)]
    result = TapResult(out, len(chosen))

    def stop(signum, _frame):
        result.stop()
        raise Stopped(f'stopped by signal {signum}')

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    unittest.TestSuite(chosen).run(result)
    if result.shouldStop:
        result.line('Bail out! stopped by a signal')
        sys.exit(1)
    if result.count < len(chosen):
        # Tests behind a failed or skipped class set-up were never started.
        for number in range(result.count + 1, len(chosen) + 1):
            result.line(f'ok {number} - not started # SKIP set-up')
    sys.exit(1 if result.failed else 0)
