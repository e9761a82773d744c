# SPDX-License-Identifier: Apache-2.0
"""What happened to a disk, from its process and from operators."""

import json
import os
import re
import subprocess
import unittest

import tap
from agent_host import BUILD, AgentHost
from spawn import wait_until

ENTRIES_MAX = 1000
LATER_MS = 1 << 42


def kinds(items):
    return [(item['source'], item['kind'], item['outcome']) for item in items]


class Written(unittest.TestCase):
    """The test writes what a disk's process would."""

    def setUp(self):
        self.host = AgentHost(self)
        self.id = self.host.make_disk()['id']
        self.path = os.path.join(self.host.root, 'run/disks', self.id,
                                 'events')

    def write(self, *names, text=''):
        with open(self.path, 'a', encoding='utf-8') as file:
            for name in names:
                json.dump({'kind': 'clone', 'outcome': 'done', 'time_ms': 5,
                           'name': name}, file)
                file.write('\n')
            file.write(text)

    def history(self):
        return self.host.get('/disks/d1/history')['items']

    def names(self):
        return [item['name'] for item in self.history()
                if item['source'] == 'disk']

    def restart(self):
        self.host.daemon.kill()
        self.host.start()

    def test_what_operators_do_is_noted(self):
        self.host.post('/disks/d1/open')
        self.host.request('POST', '/disks/d1/resize', {'size_bytes': 512})
        self.host.post('/disks/d1/close')
        items = self.history()
        self.assertEqual(kinds(items),
                         [('operator', 'create', 'done'),
                          ('operator', 'open', 'done'),
                          ('operator', 'resize', 'failed'),
                          ('operator', 'close', 'done')])
        self.assertIn('can only grow', items[2]['reason'])
        self.assertEqual(sorted(items, key=lambda item: item['time_ms']),
                         items)

    def test_each_record_is_taken_over_once(self):
        self.write('a', 'b')
        self.assertEqual(self.names(), ['a', 'b'])
        self.write('c')
        self.assertEqual(self.names(), ['a', 'b', 'c'])
        self.restart()
        self.write('d')
        self.assertEqual(self.names(), ['a', 'b', 'c', 'd'])

    def test_what_happens_while_forebayd_is_away_is_not_lost(self):
        self.host.daemon.kill()
        self.write(*'abc')
        self.host.start()
        self.assertEqual(self.names(), ['a', 'b', 'c'])

    def test_records_are_taken_over_though_nobody_asks(self):
        self.write(*'ab')
        def taken():
            with open(self.path, 'rb') as file:
                return b'clone' not in file.read()
        wait_until(taken, 30, 'what was written is taken over')
        self.restart()
        os.unlink(self.path)
        self.assertEqual(self.names(), ['a', 'b'])

    def test_a_line_that_is_not_finished_waits_for_its_end(self):
        self.write('a', text='{"kind": "vm", "outcome":')
        self.assertEqual(self.names(), ['a'])
        with open(self.path, 'a', encoding='utf-8') as file:
            file.write(' "done", "name": "b"}\n')
        self.assertEqual(self.names(), ['a', 'b'])

    def test_nonsense_between_records_is_left_out(self):
        self.write('a', text='nonsense\n{"kind": 5}\n\n')
        self.write('b', text='x' * 300000 + '\n')
        self.write('c')
        self.assertEqual(self.names(), ['a', 'b', 'c'])

    def test_a_new_file_is_read_from_its_start(self):
        self.write(*'abcdef')
        self.assertEqual(len(self.names()), 6)
        # As after the machine was started again.
        self.restart()
        os.unlink(self.path)
        self.restart()
        self.write('g')
        self.assertEqual(self.names(), list('abcdefg'))

    def test_the_oldest_entries_go(self):
        self.write(*[str(i) for i in range(ENTRIES_MAX + 30)])
        items = self.history()
        self.assertEqual(len(items), ENTRIES_MAX)
        self.assertEqual(items[0]['name'], '30')
        self.assertEqual(items[-1]['name'], str(ENTRIES_MAX + 29))

    def test_something_else_in_its_place_is_not_read(self):
        os.mkfifo(self.path)
        self.assertEqual(self.names(), [])
        os.unlink(self.path)
        os.symlink('/etc/passwd', self.path)
        self.assertEqual(self.names(), [])

    def test_entries_are_in_order_of_time(self):
        self.host.post('/disks/d1/open')
        with open(self.path, 'a', encoding='utf-8') as file:
            for time_ms in (LATER_MS, 7, 3):
                json.dump({'kind': 'vm', 'outcome': 'done',
                           'time_ms': time_ms}, file)
                file.write('\n')
        self.assertEqual([item['kind'] for item in self.history()],
                         ['vm', 'vm', 'create', 'open', 'vm'])

    def test_a_history_ends_with_its_disk(self):
        self.write(*[str(i) for i in range(100)])
        self.assertEqual(len(self.names()), 100)
        self.host.request('DELETE', '/disks/d1')
        self.assertEqual(
            self.host.request('GET', '/disks/d1/history')[0], 404)
        self.host.make_disk(id=self.id)
        self.assertEqual(kinds(self.history()),
                         [('operator', 'create', 'done')])

    def test_a_vm_is_in_a_state_that_is_known(self):
        for body in ({'vm': 'asleep'}, {}, {'vm': 'running', 'x': 1}):
            status, problem = self.host.request(
                'POST', '/disks/d1/notify', body)
            self.assertEqual((status, problem['code']), (400, 'bad-request'))
        status, problem = self.host.request(
            'POST', '/disks/d1/notify', {'vm': 'running'})
        self.assertEqual(problem['code'], 'disk-not-open')


class RealHost(AgentHost):
    """The programs of the build, and filters that write events down."""

    def __init__(self, test):
        super().__init__(test, neighbours=False)

    def start(self):
        self.link(os.path.join(BUILD, 'src/disk/forebay-disk'), self.programs)
        for name in ('event-top', 'event-middle'):
            self.link(os.path.join(BUILD, 'tests/filters', name + '.so'),
                      self.filters)
        super().start()

    @staticmethod
    def link(target, folder):
        path = os.path.join(folder, os.path.basename(target))
        if not os.path.lexists(path):
            os.symlink(target, path)


class RealDisk(unittest.TestCase):
    def setUp(self):
        self.host = RealHost(self)
        self.host.post('/policies', self.policy())
        self.host.make_disk(policy='gold')

    def policy(self, **middle):
        return {'name': 'gold', 'filters': [
            {'filter': 'event-top'},
            {'filter': 'event-middle', 'properties': middle}]}

    def cli(self, *words):
        return subprocess.run(
            [os.path.join(BUILD, 'src/cli/forebay'), '--root',
             self.host.root, *words], capture_output=True, text=True,
            timeout=60, check=False)

    def test_events_and_what_caused_them_stand_side_by_side(self):
        self.host.post('/disks/d1/open')
        self.host.post('/disks/d1/resize', {'size_bytes': 2 << 20})
        self.assertEqual(
            self.cli('disk', 'notify', 'd1', 'running').returncode, 0)
        self.host.post('/policies/gold/update',
                       self.policy(refuse='grow-pre'))
        status, problem = self.host.request(
            'POST', '/disks/d1/resize', {'size_bytes': 3 << 20})
        self.assertEqual(problem['code'], 'resize-failed')
        self.assertIn('filter event-middle refuses grow', problem['detail'])
        self.assertEqual(self.host.disk()['size_bytes'], 2 << 20)
        items = self.host.get('/disks/d1/history')['items']
        grown = [item for item in items if item['kind'] == 'grow']
        self.assertEqual(kinds(grown), [('disk', 'grow', 'done'),
                                        ('disk', 'grow', 'refused')])
        for entry in (('operator', 'open', 'done'), ('disk', 'open', 'done'),
                      ('operator', 'resize', 'failed'),
                      ('disk', 'vm', 'done'),
                      ('operator', 'properties', 'done'),
                      ('disk', 'properties', 'done')):
            self.assertIn(entry, kinds(items))
        shown = self.cli('disk', 'history', 'd1').stdout
        self.assertRegex(shown, r'disk +grow to 2MiB +done')
        self.assertRegex(shown, r'grow to 3MiB +refused +filter event-middle '
                                r'refuses grow of disk d1: it was told to')
        self.assertRegex(shown, r'disk +vm running +done')
        self.assertRegex(shown, r'properties of gold, version 2 +done')
        told = json.loads(self.cli('disk', 'history', 'd1', '-o',
                                   'json').stdout)
        self.assertEqual(len(told['items']), len(items))

    def test_a_change_that_a_filter_refuses_changes_no_filter(self):
        self.host.post('/disks/d1/open')
        policy = self.policy(refuse='properties-pre')
        policy['filters'][0]['properties'] = {'slow': 'vm-post'}
        answer = self.host.post('/policies/gold/update', policy)
        self.assertEqual([disk['disk'] for disk in answer['untold']], ['d1'])
        self.assertIn('refuses properties', answer['untold'][0]['reason'])
        stats = self.host.get('/disks/d1/stats')
        self.assertEqual(stats['filters'][0]['properties']['slow'], '')

    def log(self):
        with open(os.path.join(self.host.root, 'log/disk-d1.log'),
                  encoding='utf-8') as file:
            return file.read()

    def test_a_disk_is_deleted_after_its_filters_are_asked_and_told(self):
        self.host.post('/disks/d1/open')
        self.host.post('/disks/d1/close')
        status, _ = self.host.request('DELETE', '/disks/d1')
        self.assertEqual(status, 200)
        self.assertEqual(
            re.findall(r'event-(\w+): event ((?:delete|detach)-\w+)',
                       self.log()),
            [('top', 'delete-pre'), ('middle', 'delete-pre'),
             ('middle', 'delete-post'), ('top', 'delete-post'),
             ('top', 'detach-pre'), ('middle', 'detach-pre')])
        self.assertEqual(self.host.request('GET', '/disks/d1')[0], 404)

    def test_a_filter_can_keep_a_disk_from_being_deleted(self):
        self.host.post('/policies/gold/update',
                       self.policy(refuse='delete-pre'))
        status, problem = self.host.request('DELETE', '/disks/d1')
        self.assertEqual(problem['code'], 'delete-refused')
        self.assertIn('filter event-middle refuses delete of disk d1: it was '
                      'told to', problem['detail'])
        self.assertEqual(
            [item['outcome'] for item
             in self.host.get('/disks/d1/history')['items']
             if item['kind'] == 'delete'], ['refused'])
        self.host.post('/disks/d1/open')
        self.host.post('/disks/d1/close')
        self.host.post('/policies/gold/update', self.policy())
        status, _ = self.host.request('DELETE', '/disks/d1')
        self.assertEqual(status, 200)

    def test_a_disk_whose_filters_cant_be_asked_stays(self):
        os.unlink(os.path.join(self.host.root, 'd1.img'))
        status, problem = self.host.request('DELETE', '/disks/d1')
        self.assertEqual(problem['code'], 'delete-refused')
        self.assertIn('d1.img', problem['detail'])
        # Without one that wants to be asked nobody needs the backend.
        self.host.post('/policies/gold/update',
                       {'name': 'gold', 'filters': []})
        self.assertEqual(self.host.request('DELETE', '/disks/d1')[0], 200)

    def test_a_hold_that_a_filter_refuses_says_who(self):
        self.host.post('/policies/gold/update',
                       self.policy(refuse='snapshot-pre'))
        self.host.post('/disks/d1/open')
        status, problem = self.host.request('POST', '/disks/d1/hold', {})
        self.assertEqual(problem['code'], 'hold-refused')
        self.assertIn('filter event-middle refuses snapshot',
                      problem['detail'])


if __name__ == '__main__':
    tap.main()
