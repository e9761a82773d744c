# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of each filter's properties takes what forebayd takes."""

import glob
import json
import os
import subprocess
import unittest

import jsonschema

import tap
from agent_host import BUILD, AgentHost

# Of each type: what no property of that type is.
WRONG = {
    'integer': ['7', 7.5, True, None, [7], '7 apples'],
    'size': ['4 KiB', 'KiB', '-4KiB', '4KB', '', 4.5, True, None],
    'duration': ['60', '60 s', 's', '1d', '-1s', 4.5, False, None],
    'string': [7, True, None, ['a']],
    'boolean': ['true', 0, 1, None],
}
# And what may be one.
RIGHT = {
    'size': ['{0}', '{0}B'],
    'duration': ['{0}ns'],
}


class RealHost(AgentHost):
    """The filters that the build has made, described by forebay-disk."""

    def __init__(self, test):
        super().__init__(test, neighbours=False)

    def start(self):
        self.link(os.path.join(BUILD, 'src/disk/forebay-disk'), self.programs)
        for path in glob.glob(os.path.join(BUILD, 'filters/*/*.so')):
            self.link(path, self.filters)
        self.link(os.path.join(BUILD, 'tests/filters/event-top.so'),
                  self.filters)
        super().start()

    @staticmethod
    def link(target, folder):
        path = os.path.join(folder, os.path.basename(target))
        if not os.path.lexists(path):
            os.symlink(target, path)


class Schema(unittest.TestCase):
    def setUp(self):
        self.host = RealHost(self)
        self.count = 0

    def filters(self):
        for entry in self.host.get('/filters')['items']:
            if entry['issue'] is None:
                yield self.host.get('/filters/' + entry['name'])

    def forebayd_takes(self, name, properties):
        self.count += 1
        status, answer = self.host.request(
            'POST', '/policies', {'name': f'p{self.count}', 'filters': [
                {'filter': name, 'properties': properties}]})
        self.assertIn(status, (201, 400), answer)
        return status == 201

    def schema_takes(self, schema, properties):
        return jsonschema.Draft202012Validator(schema).is_valid(properties)

    def candidates(self, entry):
        kind = entry['type']
        yield entry['default']
        yield from WRONG[kind]
        yield from entry.get('choices', [])
        if 'choices' in entry:
            yield 'no-such-choice'
        for bound in ('minimum', 'maximum'):
            if bound in entry:
                yield entry[bound]
        if 'minimum' in entry and entry['minimum'] > -(1 << 63):
            yield entry['minimum'] - 1
        if 'maximum' in entry and entry['maximum'] < (1 << 63) - 1:
            yield entry['maximum'] + 1
        if entry.get('default', -1) is not True:
            for form in RIGHT.get(kind, []):
                yield form.format(entry['default'])

    def test_schemas_are_of_the_draft_that_they_name(self):
        found = list(self.filters())
        self.assertIn('throttle', [entry['name'] for entry in found])
        for entry in found:
            jsonschema.Draft202012Validator.check_schema(entry['schema'])
            self.assertEqual(entry['schema']['$schema'],
                             'https://json-schema.org/draft/2020-12/schema')
            self.assertEqual(sorted(entry['schema']['properties']),
                             sorted(p['name'] for p in entry['properties']))

    def test_a_schema_and_forebayd_take_the_same(self):
        for entry in self.filters():
            for prop in entry['properties']:
                for value in self.candidates(prop):
                    properties = {prop['name']: value}
                    with self.subTest(entry['name'], properties=properties):
                        self.assertEqual(
                            self.schema_takes(entry['schema'], properties),
                            self.forebayd_takes(entry['name'], properties))

    def test_a_property_that_no_filter_has_fits_no_schema(self):
        for entry in self.filters():
            self.assertFalse(self.schema_takes(entry['schema'],
                                               {'no-such': 1}))
            self.assertFalse(self.forebayd_takes(entry['name'],
                                                 {'no-such': 1}))

    def test_a_policy_that_does_not_fit_changes_nothing(self):
        self.assertFalse(self.forebayd_takes('throttle', {
            'iops': 5, 'burst': 'soon'}))
        self.assertEqual(self.host.get('/policies')['items'], [])

    def test_a_filter_is_shown_with_its_properties(self):
        shown = subprocess.run(
            [os.path.join(BUILD, 'src/cli/forebay'), '--root',
             self.host.root, 'filter', 'show', 'throttle'],
            capture_output=True, text=True, timeout=60, check=True).stdout
        self.assertRegex(shown, r'Class +qos')
        self.assertRegex(shown, r'iops +integer +0 to ')
        self.assertRegex(shown, r'burst +duration ')

    def test_a_filter_that_is_not_there_is_not_found(self):
        status, problem = self.host.request('GET', '/filters/throtle')
        self.assertEqual((status, problem['code'], problem['hint']),
                         (404, 'no-such-filter', 'did you mean throttle?'))

    def test_a_filter_that_cant_be_used_is_shown_with_its_issue(self):
        self.host.install_filter('broken')
        shown = self.host.get('/filters/broken')
        self.assertTrue(shown['issue'])
        self.assertNotIn('schema', shown)

    def test_the_events_of_a_filter_are_named(self):
        told = self.host.get('/filters/event-top')['events']
        self.assertIn('grow', told)
        self.assertEqual(self.host.get('/filters/throttle')['events'], [])
        json.dumps(told)


if __name__ == '__main__':
    tap.main()
