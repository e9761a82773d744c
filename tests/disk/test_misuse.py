# SPDX-License-Identifier: Apache-2.0
"""A filter that breaks a rule, crashes or blocks is named, with function and
disk, in the log and on the status pipe of a real forebay-disk."""

import os
import signal
import time
import unittest

import nbd

import spawn
import tap
from disk_process import SECONDS, Disk, filter_entry
from sanitized import is_sanitized

SANITIZED = is_sanitized()


class Case(unittest.TestCase):

    def start(self, what, **config):
        # One more on each side: the right one is named.
        disk = Disk(self, [filter_entry('null'),
                           filter_entry('misuse', does=what),
                           filter_entry('throttle')])
        disk.config.update(config)
        return disk.start_ready()

    def write(self, disk):
        """A write that may not come back."""
        handle = disk.nbd()
        handle.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(4096)), 0)
        return handle

    def last_words(self, disk, ends=(signal.SIGABRT,)):
        """What it says on the status pipe, and in its log, when it ends."""
        code = disk.process.wait(SECONDS)
        state = disk.next_state()
        self.assertIsNotNone(state, disk.process.output())
        self.assertEqual(state['state'], 'failed')
        self.assertIn(state['message'], disk.process.output())
        if not SANITIZED:
            self.assertIn(code, [-number for number in ends])
        return state['message']


class Rules(Case):

    def breaks(self, what, words):
        disk = self.start(what)
        self.write(disk)
        self.assertEqual(
            self.last_words(disk),
            'disk db1: filter misuse broke a rule: ' + words)

    def test_a_request_that_is_completed_twice(self):
        self.breaks('complete-twice', 'in submit, request_complete() of a '
                    'request that has ended')

    def test_a_request_that_is_completed_after_it_was_forwarded(self):
        self.breaks('complete-after-forward', 'in submit, request_complete() '
                    'of a request that it has forwarded')

    def test_a_request_that_is_forwarded_after_it_was_completed(self):
        self.breaks('forward-after-complete', 'in submit, request_forward() '
                    'of a request that has ended')

    def test_a_request_that_is_forwarded_twice(self):
        self.breaks('forward-twice', 'in submit, request_forward() of a '
                    'request that it has forwarded')

    def test_a_request_that_is_forwarded_when_it_has_come_back(self):
        self.breaks('forward-what-came-back', 'in completed, '
                    'request_forward() of a request that has come back: it '
                    'can only be completed')

    def test_a_positive_status(self):
        self.breaks('positive-status', 'in submit, request_complete() with a '
                    'positive status')

    def test_an_io_that_is_submitted_while_it_is_under_way(self):
        self.breaks('io-twice', 'in submit, io_submit() of an io that is '
                    'under way')

    def test_memory_that_is_not_its_arenas(self):
        self.breaks('free-what-is-not', "in submit, arena_free() of what "
                    "isn't a block of its arena")

    def test_an_open_that_ends_twice(self):
        disk = Disk(self, [filter_entry('misuse', does='open-twice')])
        disk.start()
        while disk.next_state()['state'] != 'failed':
            pass
        self.assertEqual(
            disk.states[-1]['message'],
            'disk db1: filter misuse broke a rule: in open, open_done() for '
            'the second time')

    def test_an_instance_that_is_closed_with_a_timer_armed(self):
        disk = self.start('close-with-timer')
        disk.process.popen.send_signal(signal.SIGTERM)
        self.assertIn('close_done() with a timer armed',
                      self.last_words(disk))

    def test_a_status_that_is_no_json_is_said_to_be_none(self):
        disk = self.start('bad-status')
        status = disk.call('stats')['filters'][1]
        self.assertEqual(status['name'], 'misuse')
        self.assertIn('no valid status document', status['status']['error'])

    def test_a_request_that_is_never_completed(self):
        disk = self.start('hold', held_limit_ms=300)
        self.write(disk)
        link = disk.connect()
        spawn.wait_until(
            lambda: disk.call(
                'stats', link)['filters'][1]['held']['overdue'] == 1,
            SECONDS, 'the request is overdue')
        held = [entry['held']
                for entry in disk.call('stats', link)['filters']]
        self.assertEqual([entry['requests'] for entry in held], [0, 1, 0])
        self.assertGreaterEqual(held[1]['oldest_ns'], 300 * 10**6)
        self.assertIn('filter misuse has had 1 requests for over 300 ms',
                      disk.process.output())

    def test_a_filter_that_says_so_may_hold_requests(self):
        disk = Disk(self, [filter_entry('throttle', iops=1)])
        disk.config['held_limit_ms'] = 300
        disk.start_ready()
        handle = disk.nbd()
        for number in range(30):
            handle.aio_pread(nbd.Buffer(4096), number * 4096)
        held = {}
        link = disk.connect()

        def is_old():
            held.update(disk.call('stats', link)['filters'][0]['held'])
            return held['oldest_ns'] > 600 * 10**6
        spawn.wait_until(is_old, SECONDS, 'they are held for long')
        self.assertGreater(held['requests'], 0)
        self.assertEqual(held['overdue'], 0)
        self.assertNotIn('has had', disk.process.output())


class Crashes(Case):

    def crashes(self, what, words, ends):
        disk = self.start(what)
        self.write(disk)
        message = self.last_words(disk, ends)
        self.assertIn('disk db1: filter misuse crashed in ' + words, message)
        return message

    def test_a_wild_pointer_in_a_callback(self):
        message = self.crashes('crash', 'submit (', [signal.SIGSEGV])
        if not SANITIZED:
            self.assertIn('(SIGSEGV at 0x40)', message)

    def test_a_wild_pointer_in_a_timer(self):
        self.crashes('crash-in-timer', 'a timer (', [signal.SIGSEGV])

    def test_a_wild_pointer_on_another_thread(self):
        self.crashes('crash-in-work', 'work (', [signal.SIGSEGV])

    def test_a_stack_that_is_eaten_up(self):
        self.crashes('eat-stack', 'submit (', [signal.SIGSEGV])

    @unittest.skipIf(SANITIZED, 'sanitizers leave abort() alone')
    def test_an_abort(self):
        self.crashes('abort', 'submit (SIGABRT)', [signal.SIGABRT])

    @unittest.skipUnless(SANITIZED, 'only a sanitizer sees it')
    def test_a_write_outside_of_a_buffer(self):
        self.crashes('write-outside', 'submit (sanitizer)', [])


class Blocks(Case):

    def test_a_callback_that_blocks_is_named_and_counted(self):
        disk = self.start('block')
        disk.nbd().pwrite(bytes(4096), 0)
        spawn.wait_until(
            lambda: 'filter misuse blocked the loop' in disk.process.output(),
            SECONDS, 'the watchdog tells')
        self.assertRegex(disk.process.output(),
                         r'disk db1: filter misuse blocked the loop for '
                         r'[0-9]+ ms in submit: a callback may take 1 ms')
        blocked = disk.call('stats')['filters'][1]['blocked']
        self.assertGreaterEqual(blocked['count'], 1)
        self.assertGreater(blocked['longest_ns'], 100 * 10**6)

    def test_an_idle_disk_takes_no_time_of_the_watchdog(self):
        disk = self.start('nothing')
        disk.nbd().pwrite(bytes(4096), 0)

        def switches():
            total = 0
            for task in os.listdir(f'/proc/{disk.process.pid}/task'):
                with open(f'/proc/{disk.process.pid}/task/{task}/status',
                          encoding='utf-8') as file:
                    total += sum(int(line.split()[1]) for line in file
                                 if 'ctxt_switches' in line)
            return total

        def is_quiet():
            before = switches()
            time.sleep(1)
            return switches() - before < 20
        spawn.wait_until(is_quiet, SECONDS, 'nobody wakes up')


if __name__ == '__main__':
    tap.main()
