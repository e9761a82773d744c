# SPDX-License-Identifier: Apache-2.0
"""Actions that a filter declares, called through a real forebay-disk."""

import signal
import unittest

import tap
from disk_process import SECONDS, Disk, Refused, filter_entry


class Actions(unittest.TestCase):

    def setUp(self):
        self.disk = Disk(self, [filter_entry('null'),
                                filter_entry('actions')]).start_ready()

    def call(self, action, filter_name='actions', **arguments):
        return self.disk.call('call', filter=filter_name, action=action,
                              arguments=arguments)['result']

    def refused(self, errno, words, *call, **arguments):
        with self.assertRaises(Refused) as caught:
            self.call(*call, **arguments)
        self.assertEqual(caught.exception.errno, errno)
        self.assertIn(words, str(caught.exception))

    def test_arguments_arrive_with_their_types_and_defaults(self):
        self.assertEqual(
            self.call('echo', size='4KiB', loud=True),
            {'number': 3, 'size': 4096, 'word': 'none', 'loud': True})

    def test_arguments_are_checked_before_the_filter_hears_of_it(self):
        self.refused(34, "'number'", 'echo', number=10)
        self.refused(22, "'volume'", 'echo', volume=1)
        self.refused(22, "'loud'", 'echo', loud='yes')

    def test_an_action_may_take_its_time(self):
        self.assertEqual(self.call('later'), 'at last')

    def test_a_failure_says_why(self):
        self.refused(5, "disk db1: filter actions, action 'fail': there is "
                     'no ink', 'fail')

    def test_a_result_that_is_no_json_is_a_failure(self):
        self.refused(71, "its result isn't JSON", 'nonsense')

    def test_who_does_not_know_the_action_says_so(self):
        self.refused(95, "filter actions has no action 'sing'", 'sing')
        self.refused(95, "filter null has no action 'echo'", 'echo', 'null')
        self.refused(2, "no filter 'cache'", 'echo', 'cache')

    def test_a_close_waits_for_the_action(self):
        link = self.disk.connect()
        link.send(b'{"id": 1, "method": "call", "params": '
                  b'{"filter": "actions", "action": "later"}}')
        self.disk.call('close')
        self.assertEqual(self.disk.process.wait(SECONDS), 0)
        self.assertIn(b'at last', link.recv(1 << 16))

    def test_a_call_that_ends_twice_ends_the_process(self):
        with self.assertRaises((ConnectionError, ValueError)):
            self.call('twice')
        self.assertEqual(self.disk.process.wait(SECONDS), -signal.SIGABRT)
        self.assertEqual(
            self.disk.next_state()['message'],
            'disk db1: filter actions broke a rule: in call, call_done() of '
            'a call that has ended')


if __name__ == '__main__':
    tap.main()
