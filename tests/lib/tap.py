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

Tests that mostly wait need not wait one after the other: tap.main(at_once=3)
runs each in a process of its own, three of them at a time.
"""

import concurrent.futures
import os
import re
import signal
import subprocess
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


class Apart:
    """Runs each test by this file in a process of its own, some at a time.

    What a test says is shown when it has ended, so that no two mingle.
    """

    RESULT = re.compile(r'(not )?ok 1 - [^#]*(?:# SKIP (.*))?')

    def __init__(self, result):
        self.result = result
        self.running = set()
        self.stopped = False

    def run_one(self, test):
        """Returns (what it printed, what it said beside that)."""
        process = subprocess.Popen(
            [sys.executable, sys.argv[0], '=' + test.id()], text=True,
            errors='replace', stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.running.add(process)
        if self.stopped:
            process.terminate()
        said = process.communicate()
        self.running.remove(process)
        return said

    def show(self, test, printed, said):
        sys.stderr.write(said)
        lines = printed.split('\n')
        found = next(filter(None, map(self.RESULT.fullmatch, lines)), None)
        trouble = reason = None
        if found is None or found[1]:
            trouble = '\n'.join(line[len('# '):] for line in lines
                                if line.startswith('# '))
            trouble = trouble or 'its process has ended before it'
        else:
            reason = found[2]
        self.result.report(sentence(test), trouble, reason)

    def run(self, tests, at_once):
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            futures = {pool.submit(self.run_one, test): test
                       for test in tests}
            try:
                for future in concurrent.futures.as_completed(futures):
                    self.show(futures.pop(future), *future.result())
            except Stopped as stopped:
                print(stopped, file=sys.stderr)
                self.stopped = True
                begun = [future for future in futures if not future.cancel()]
                for process in list(self.running):
                    process.terminate()
                for future in begun:
                    self.show(futures[future], *future.result())


def choose(tests, words):
    """A word is part of a name, or the whole one behind a '='."""
    return [test for test in tests
            if not words or any('=' + test.id() == word or word in test.id()
                                for word in words)]


def main(module='__main__', words=None, at_once=1):
    """Runs all tests of @module and exits: 0 if none failed, else 1.

    Each in a process of its own, @at_once of them at a time, if that is more
    than one: a class or module set-up runs once for each test then.
    """
    out = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    words = sys.argv[1:] if words is None else words
    tests = unittest.defaultTestLoader.loadTestsFromModule(
        sys.modules[module])
    chosen = choose(flatten(tests), words)
    result = TapResult(out, len(chosen))

    def stop(signum, _frame):
        result.stop()
        raise Stopped(f'stopped by signal {signum}')

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if at_once > 1 and len(chosen) > 1:
        Apart(result).run(chosen, at_once)
    else:
        unittest.TestSuite(chosen).run(result)
    if result.shouldStop:
        result.line('Bail out! stopped by a signal')
        sys.exit(1)
    if result.count < len(chosen):
        # Tests behind a failed or skipped class set-up were never started.
        for number in range(result.count + 1, len(chosen) + 1):
            result.line(f'ok {number} - not started # SKIP set-up')
    sys.exit(1 if result.failed else 0)
