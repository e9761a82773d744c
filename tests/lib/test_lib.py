# SPDX-License-Identifier: Apache-2.0
"""What our own helpers must not get wrong: a failure that looks like a pass."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import unittest

import tap
from spawn import folder, listens, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


class TapTest(unittest.TestCase):

    def start(self, body, decorator='', options=''):
        """Starts a test file with @body as its class's body."""
        work = folder(self)
        path = os.path.join(work, 'inner.py')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('import time, unittest, tap, witness\n'
                       f'{decorator}\n'
                       'class Inner(unittest.TestCase):\n'
                       + textwrap.indent(textwrap.dedent(body), '    ')
                       + f'\ntap.main({options})\n')
        return subprocess.Popen(
            [sys.executable, path], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
            env=dict(os.environ, PYTHONPATH=HERE))

    def run_body(self, body, decorator='', options=''):
        process = self.start(body, decorator, options)
        output, _ = process.communicate(timeout=30)
        return process.returncode, [line for line in output.split('\n')
                                    if not line.startswith('#')]

    def test_each_outcome_has_its_line(self):
        code, lines = self.run_body('''
            def test_a_passes(self): print("ok 7 - noise on stdout")
            def test_b_fails(self): self.fail("so")
            @unittest.skip("a reason")
            def test_c_is_skipped(self): pass
            def test_d_has_a_bad_part(self):
                for number in range(3):
                    with self.subTest(number=number):
                        self.assertNotEqual(number, 1)
        ''')
        self.assertEqual(code, 1)
        self.assertEqual(lines, [
            'TAP version 13', '1..4', 'ok 1 - a_passes', 'not ok 2 - b_fails',
            'ok 3 - c_is_skipped # SKIP a reason',
            'not ok 4 - d_has_a_bad_part', ''])

    def test_a_void_witness_is_heard_again_and_a_wrong_disk_is_not(self):
        code, lines = self.run_body('''
            said = []
            def setUp(self): self.said.append(0)
            def hear(self, *words):
                from witness import assert_verified
                assert_verified(self, words[len(self.said) - 1])
            def tearDown(self): self.said.clear()
            def test_a(self): self.hear("VERIFY void x", "VERIFY ok x")
            def test_b(self): self.hear("VERIFY failed x", "VERIFY ok x")
            def test_c(self): self.hear(*3 * ["VERIFY void x"], "VERIFY ok")
            def test_d(self): self.hear("VERIFY void x", "VERIFY failed x")
        ''', '@witness.again_if_void')
        self.assertEqual(code, 1)
        self.assertEqual(lines, ['TAP version 13', '1..4', 'ok 1 - a',
                                 'not ok 2 - b', 'not ok 3 - c',
                                 'not ok 4 - d', ''])

    def test_a_class_that_cannot_be_set_up_fails(self):
        code, lines = self.run_body('''
            @classmethod
            def setUpClass(cls): raise OSError("no")
            def test_a(self): pass
        ''')
        self.assertEqual(code, 1)
        self.assertTrue(lines[2].startswith('not ok 1'), lines)

    def test_apart_each_outcome_has_its_line(self):
        code, lines = self.run_body('''
            def test_a_passes(self): print("ok 1 - noise on stdout")
            def test_b_fails(self): self.fail("so")
            @unittest.skip("a reason")
            def test_c_is_skipped(self): pass
            def test_d_dies(self): __import__("os")._exit(0)
            def test_a(self): pass
        ''', options='at_once=2')
        self.assertEqual(code, 1)
        self.assertEqual(lines[:2], ['TAP version 13', '1..5'])
        self.assertEqual(
            sorted(re.sub(r' \d+ ', ' ', line) for line in lines[2:-1]),
            ['not ok - b_fails', 'not ok - d_dies', 'ok - a', 'ok - a_passes',
             'ok - c_is_skipped # SKIP a reason'])

    def test_apart_tests_wait_for_each_other(self):
        """Each makes a file and waits for the other's."""
        code, lines = self.run_body('''
            def meet(self, mine, other):
                import os
                from spawn import wait_until
                open(__file__ + mine, "w")
                wait_until(lambda: os.path.exists(__file__ + other), 20, mine)
            def test_a(self): self.meet("a", "b")
            def test_b(self): self.meet("b", "a")
        ''', options='at_once=2')
        self.assertEqual(code, 0, lines)

    def test_a_time_out_runs_the_clean_ups(self):
        self.time_out('')

    def test_apart_a_time_out_runs_the_clean_ups(self):
        self.time_out('at_once=2')

    def time_out(self, options):
        process = self.start('''
            def test_a_hangs(self):
                self.addCleanup(lambda: open(__file__ + ".cleaned", "w"))
                open(__file__ + ".begun", "w")
                time.sleep(60)
            def test_b(self): time.sleep(60)
        ''', options=options)
        self.addCleanup(process.stdout.close)
        path = process.args[1]
        wait_until(lambda: os.path.exists(path + '.begun'), 20,
                   'the inner test begins')
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 1)
        self.assertTrue(os.path.exists(path + '.cleaned'))
        self.assertIn('not ok 1', process.stdout.read())


class SummaryTest(unittest.TestCase):

    def summary(self, tests, junit):
        work = folder(self)
        with open(os.path.join(work, 'run-x.json'), 'w',
                  encoding='utf-8') as file:
            for name, result in tests:
                file.write(json.dumps({'name': f'forebay:unit / {name}',
                                       'result': result}) + '\n')
        with open(os.path.join(work, 'run-x.junit.xml'), 'w',
                  encoding='utf-8') as file:
            file.write(f'<testsuites>{junit}</testsuites>')
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, 'summary.py'), work],
            capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.rstrip().split('\n')[-1]

    @staticmethod
    def suite(name, *cases):
        owner = f'forebay.forebay:unit / {name}'
        return f'<testsuite name="{owner}">' + ''.join(
            f'<testcase name="{number}" classname="{owner}">{inside}'
            '</testcase>' for number, inside in enumerate(cases)
        ) + '</testsuite>'

    def test_subtests_are_counted(self):
        self.assertEqual(
            self.summary([('a', 'OK'), ('b', 'FAIL')],
                         self.suite('a', '', '', '<skipped/>')
                         + self.suite('b', '', '<failure/>')),
            (1, '3 passed, 1 failed, 1 skipped'))

    def test_a_test_that_died_after_good_subtests_is_a_failure(self):
        self.assertEqual(
            self.summary([('a', 'ERROR')], self.suite('a', '', '')),
            (1, '2 passed, 1 failed, 0 skipped'))

    def test_a_run_without_results_is_a_failure(self):
        self.assertEqual(self.summary([('a', 'OK')], '<'),
                         (1, '0 passed, 1 failed, 0 skipped'))

    def test_nothing_at_all_is_a_failure(self):
        self.assertEqual(self.summary([], ''),
                         (1, '0 passed, 0 failed, 0 skipped'))

    def test_all_good_is_good(self):
        self.assertEqual(
            self.summary([('a', 'OK')], self.suite('a', '')),
            (0, '1 passed, 0 failed, 0 skipped'))


class SkipTest(unittest.TestCase):

    def wrapped(self, script):
        return subprocess.run(
            [sys.executable, os.path.join(HERE, 'tap_skip.py'), 'sh', '-c',
             script], capture_output=True, text=True, check=False)

    def test_a_skipped_test_of_cmocka_is_skipped(self):
        done = self.wrapped('echo "not ok 3 # SKIP a_name"; exit 0')
        self.assertEqual(done.stdout,
                         'ok 3 - a_name # SKIP not possible here\n')
        self.assertEqual(done.returncode, 0)

    def test_a_failed_test_stays_failed(self):
        done = self.wrapped('echo "not ok 3 - a_name"; exit 1')
        self.assertEqual(done.stdout, 'not ok 3 - a_name\n')
        self.assertEqual(done.returncode, 1)

    def test_a_crash_stays_a_crash(self):
        self.assertEqual(self.wrapped('kill -SEGV $$').returncode,
                         128 + signal.SIGSEGV)


class SpawnTest(unittest.TestCase):

    def test_waiting_ends_at_its_deadline(self):
        start = time.monotonic()
        with self.assertRaisesRegex(TimeoutError, 'a thing'):
            wait_until(lambda: False, 0.1, 'a thing')
        self.assertLess(time.monotonic() - start, 10)

    def test_a_socket_listens_when_it_can_be_connected_to(self):
        path = os.path.join(folder(self), 'socket')
        self.assertFalse(listens(path))
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            self.assertFalse(listens(path))
            server.listen()
            self.assertTrue(listens(path))
        self.assertFalse(listens(path))


if __name__ == '__main__':
    tap.main()
