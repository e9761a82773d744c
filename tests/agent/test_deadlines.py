# SPDX-License-Identifier: Apache-2.0
"""A verb that takes too long is answered with 202, and goes on.

One test, because it takes as long as the longest deadline: each disk's process
is slow at another verb.
"""

import os
import threading
import unittest

import tap
from agent_host import AgentHost

DISK = 'forebay-disk'


class Deadlines(unittest.TestCase):
    def setUp(self):
        self.host = AgentHost(self)
        self.answers = {}

    def ask(self, disk, verb):
        self.answers[verb] = self.host.request('POST',
                                               f'/disks/{disk}/{verb}')

    def test_a_verb_that_takes_too_long_says_so_and_goes_on(self):
        for name in ('opens', 'closes', 'flushes'):
            self.host.make_disk(name)
        for name in ('closes', 'flushes'):
            self.host.post(f'/disks/{name}/open')
        self.host.behave(DISK, start='opening', close='silent',
                         flush='silent', dirty=512)
        threads = [threading.Thread(target=self.ask, args=words)
                   for words in (('opens', 'open'), ('closes', 'close'),
                                 ('flushes', 'flush'))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({verb: (status, disk.get('state'))
                          for verb, (status, disk) in self.answers.items()},
                         {'open': (202, 'opening'), 'close': (202, 'closing'),
                          'flush': (202, 'open')})
        self.assertEqual(self.answers['open'][1]['reason'],
                         'waits for its predecessor')
        self.assertEqual(self.answers['close'][1]['dirty_bytes'], 512)
        self.host.behave(DISK)
        self.host.wait_for_state('open', 'opens')

    def test_a_close_of_a_process_that_does_not_listen_is_asked_again(self):
        disk = self.host.make_disk('d1')
        self.host.post('/disks/d1/open')
        control = f'{self.host.root}/run/disks/{disk["id"]}/control.sock'
        os.rename(control, control + '.away')
        thread = threading.Thread(target=self.ask, args=('d1', 'close'))
        thread.start()
        self.host.wait_for_state('closing')
        os.rename(control + '.away', control)
        thread.join()
        self.assertEqual(self.answers['close'][0], 200)


if __name__ == '__main__':
    tap.main()
