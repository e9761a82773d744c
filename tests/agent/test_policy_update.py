# SPDX-License-Identifier: Apache-2.0
"""A policy changes under disks that are open, and under those that aren't."""

import json
import os
import unittest

import tap
from agent_host import AgentHost

DISK = 'forebay-disk'


class PolicyUpdate(unittest.TestCase):
    def setUp(self):
        self.host = AgentHost(self)
        self.host.install_filter('cache')
        self.host.install_filter('throttle')
        self.host.post('/policies', self.gold(mode='write-back'))
        os.mkdir(self.host.root + '/ssd')
        self.host.post('/pools', {'name': 'ssd',
                                  'paths': [self.host.root + '/ssd']})
        self.host.make_disk(policy='gold')

    def gold(self, **properties):
        return {'name': 'gold', 'filters': [
            {'filter': 'cache', 'properties': properties}]}

    def update(self, policy):
        return self.host.post('/policies/gold/update', policy)

    def refuse(self, code, policy, path='/policies/gold/update'):
        status, problem = self.host.request('POST', path, policy)
        self.assertGreaterEqual(status, 400, problem)
        self.assertEqual(problem['code'], code, problem)
        return problem

    def told(self):
        with open(os.path.join(self.host.programs, 'properties.json'),
                  encoding='utf-8') as file:
            return json.load(file)

    def config(self):
        path = f'{self.host.root}/lib/disks/{self.host.disk()["id"]}.json'
        with open(path, encoding='utf-8') as file:
            return json.load(file)['filters']

    def test_an_open_disk_is_told_what_can_change(self):
        self.host.post('/disks/d1/open')
        policy = self.update(self.gold(mode='write-through'))
        self.assertEqual((policy['version'], policy['untold']), (2, []))
        self.assertEqual(self.told(), {
            'changes': {'cache': {'mode': 'write-through'}}})
        self.assertEqual(self.config()[0]['properties'],
                         {'mode': 'write-through'})
        self.assertEqual(self.host.disk()['policy'],
                         {'name': 'gold', 'version': 2})

    def test_what_is_left_out_has_its_default_again(self):
        self.update(self.gold(mode='write-through'))
        self.host.post('/disks/d1/open')
        self.update(self.gold())
        self.assertEqual(self.told()['changes'],
                         {'cache': {'mode': 'write-back'}})

    def test_what_can_not_change_is_refused_while_a_disk_is_open(self):
        self.host.post('/disks/d1/open')
        for policy, word in (
                (self.gold(limit='2GiB'), 'limit'),
                ({'name': 'gold', 'filters': []}, 'filters'),
                ({'name': 'gold', 'filters': [
                    {'filter': 'throttle'}, {'filter': 'cache'}]},
                 'filters')):
            with self.subTest(policy=policy):
                problem = self.refuse('disk-open', policy)
                self.assertIn(word, problem['detail'])
                self.assertEqual(problem['object'], 'disk d1')
        self.assertEqual(self.host.get('/policies/gold')['version'], 1)
        self.host.post('/disks/d1/close')
        self.update(self.gold(limit='2GiB'))
        self.host.post('/disks/d1/open')
        self.assertEqual(self.config()[0]['properties'], {'limit': 2 << 30})

    def test_a_disk_that_can_not_be_told_is_named(self):
        self.host.post('/disks/d1/open')
        self.host.behave(DISK, **{'set-properties': 'refuse'})
        policy = self.update(self.gold(mode='write-through'))
        self.assertEqual(policy['untold'], [
            {'disk': 'd1', 'reason': 'set-properties failed here'}])
        # The next process has it.
        self.assertEqual(self.config()[0]['properties'],
                         {'mode': 'write-through'})

    def test_wrong_updates_change_nothing(self):
        self.refuse('no-such-policy', {'name': 'silver', 'filters': []},
                    '/policies/silver/update')
        self.refuse('bad-name', {'name': 'silver', 'filters': []})
        self.refuse('unknown-property', self.gold(colour='red'))
        self.refuse('bad-property', self.gold(mode='sideways'))
        self.assertEqual(self.host.get('/policies/gold')['version'], 1)


if __name__ == '__main__':
    tap.main()
