# SPDX-License-Identifier: Apache-2.0
"""The scripted forebayd of these tests, and what the CLI asks of it, keep to
api/openapi.yaml."""

import os
import re
import subprocess
import unittest

import documents
import spawn
import tap
from forebay import BUILD, TOP
from scripted import Answer, Scripted, problem

try:
    import yaml
except ImportError:
    yaml = None

FOREBAY = os.path.join(BUILD, 'src/cli/forebay')
TYPES = {'object': dict, 'array': list, 'string': str, 'integer': int,
         'number': (int, float), 'boolean': bool}
POLICY_FILE = 'name: gold\nfilters:\n  - filter: cache\n'

# A command and the answer it gets.
COMMANDS = (
    ('status', 'GET', '/v1/status', documents.STATUS),
    ('pool create ssd /a', 'POST', '/v1/pools', documents.POOL),
    ('pool list', 'GET', '/v1/pools', {'items': [documents.POOL]}),
    ('pool show ssd', 'GET', '/v1/pools/ssd', documents.POOL),
    ('policy create -f -', 'POST', '/v1/policies', documents.POLICY),
    ('policy update -f -', 'POST', '/v1/policies/gold/update',
     documents.POLICY),
    ('policy list', 'GET', '/v1/policies', {'items': [documents.POLICY]}),
    ('filter install /etc/hostname', 'POST', '/v1/filters',
     documents.BUNDLE),
    ('filter uninstall audit@1.0.0', 'DELETE', '/v1/filters/audit%401.0.0',
     documents.BUNDLE),
    ('filter issues', 'GET', '/v1/filters', {'items': documents.FILTERS}),
    ('filter keys', 'GET', '/v1/trusted-keys', {'items': [documents.KEY]}),
    ('filter trust ' + os.path.join(TOP, 'tests/cli/me.pub'), 'POST',
     '/v1/trusted-keys', documents.KEY),
    ('filter untrust me', 'DELETE', '/v1/trusted-keys/me', documents.KEY),
    ('filter list', 'GET', '/v1/filters', {'items': documents.FILTERS}),
    ('filter show cache', 'GET', '/v1/filters/cache', documents.FILTERS[0]),
    ('filter status d1', 'GET', '/v1/disks/d1/filters',
     {'items': documents.FILTER_STATUS}),
    ('filter call d1 cache mark', 'POST', '/v1/disks/d1/call',
     {'result': None}),
    ('disk create d1 --backend /b --size 1GiB --policy gold '
     '--export vhost-user-blk,nbd --read-only --queues 4 '
     '--device-revision 1', 'POST', '/v1/disks', documents.DISK),
    ('disk list', 'GET', '/v1/disks',
     {'items': [documents.DISK, documents.CLOSED]}),
    ('disk show d1', 'GET', '/v1/disks/d1', documents.DISK),
    ('disk open d1', 'POST', '/v1/disks/d1/open', documents.DISK),
    ('disk open d1 --incoming', 'POST', '/v1/disks/d1/open?incoming=true',
     documents.DISK),
    ('disk open d1 --drop-clean --discard-dirty', 'POST',
     '/v1/disks/d1/open?drop_clean=true&discard_dirty=true',
     {**documents.DISK, 'discarded': {'dirty_bytes_at_most': 65536,
                                      'marker_of_host': 'h2'}}),
    ('disk restart d1', 'POST', '/v1/disks/d1/restart', documents.DISK),
    ('disk resize d1 --size 2GiB', 'POST', '/v1/disks/d1/resize',
     documents.DISK),
    ('disk close d1', 'POST', '/v1/disks/d1/close', documents.CLOSED),
    ('disk close d1 --background', 'POST',
     '/v1/disks/d1/close?background=true',
     {**documents.CLOSED, 'state': 'draining'}),
    ('disk flush d1', 'POST', '/v1/disks/d1/flush', documents.DISK),
    ('disk flush d1 --hold --timeout 20min', 'POST', '/v1/disks/d1/hold',
     documents.HELD),
    ('disk release d1', 'POST', '/v1/disks/d1/release', documents.DISK),
    ('disk notify d1 running', 'POST', '/v1/disks/d1/notify', documents.DISK),
    ('disk history d1', 'GET', '/v1/disks/d1/history', documents.HISTORY),
    ('disk stats d1', 'GET', '/v1/disks/d1/stats', documents.STATS),
    ('disk advise d1', 'GET', '/v1/disks/d1/advice', documents.ADVICE),
    ('disk delete d1 --delete-backend --discard-dirty', 'DELETE',
     '/v1/disks/d1?delete_backend=true&discard_dirty=true',
     documents.DELETED),
    ('disk xml d1 --export nbd --target vdb', 'GET',
     '/v1/disks/d1/xml?export=nbd&target=vdb', documents.XML),
)


def load():
    with open(os.path.join(TOP, 'api/openapi.yaml'), encoding='utf-8') as file:
        return yaml.safe_load(file)


class Contract:
    """The part of JSON Schema that the file uses."""

    def __init__(self, api):
        self.api = api

    def resolve(self, node):
        while '$ref' in node:
            found = self.api
            for step in node['$ref'][2:].split('/'):
                found = found[step]
            node = found
        return node

    def operation(self, method, path):
        """The operation, and its path with the parameters' names."""
        for template, item in self.api['paths'].items():
            pattern = re.sub(r'\{\w+\}', '[^/]+', template)
            if re.fullmatch(pattern, path) and method.lower() in item:
                return item[method.lower()]
        raise KeyError(f'{method} {path}')

    def body_schema(self, holder):
        content = self.resolve(holder)['content']
        return next(iter(content.values()))['schema']

    def trouble(self, value, schema, where='$'):
        """Yields what is wrong with @value."""
        schema = self.resolve(schema)
        if value is None:
            if schema and not schema.get('nullable'):
                yield f'{where}: null'
            return
        kind = TYPES.get(schema.get('type'), object)
        if not isinstance(value, kind) or (
                isinstance(value, bool) and kind is not bool
                and kind is not object):
            yield f'{where}: {value!r} is no {schema["type"]}'
            return
        if 'enum' in schema and value not in schema['enum']:
            yield f'{where}: {value!r} is none of {schema["enum"]}'
        if 'pattern' in schema and not re.search(schema['pattern'], value):
            yield f'{where}: {value!r} is not like {schema["pattern"]}'
        if 'multipleOf' in schema and value % schema['multipleOf']:
            yield f'{where}: {value} is no multiple'
        if isinstance(value, dict):
            yield from self.object_trouble(value, schema, where)
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.trouble(item, schema.get('items', {}),
                                        f'{where}[{index}]')

    def object_trouble(self, value, schema, where):
        known = schema.get('properties', {})
        others = schema.get('additionalProperties', not known)
        for name in schema.get('required', ()):
            if name not in value:
                yield f'{where}: lacks {name}'
        for name, member in value.items():
            if name in known:
                yield from self.trouble(member, known[name],
                                        f'{where}.{name}')
            elif isinstance(others, dict):
                yield from self.trouble(member, others, f'{where}.{name}')
            elif not others:
                yield f'{where}: has {name}, which nobody knows'


@unittest.skipUnless(yaml, 'python3-yaml is missing')
class ContractTest(unittest.TestCase):
    def setUp(self):
        self.contract = Contract(load())

    def check(self, value, schema):
        self.assertEqual(list(self.contract.trouble(value, schema)), [])

    def test_the_scripted_answers_have_the_apis_form(self):
        for command, method, path, answer in COMMANDS:
            if isinstance(answer, bytes):
                continue
            operation = self.contract.operation(method, path.split('?')[0])
            good = next(response for status, response
                        in operation['responses'].items()
                        if status.startswith('2'))
            with self.subTest(command):
                self.check(answer, self.contract.body_schema(good))
        for answer in (problem(404, 'no-such-disk', 'x'),
                       problem(409, 'disk-open', 'x', object='disk d1')):
            self.check(yaml.safe_load(answer.body),
                       {'$ref': '#/components/schemas/Problem'})

    def test_what_the_cli_asks_has_the_apis_form(self):
        root = spawn.folder(self)
        server = Scripted(self, root)
        for command, method, path, answer in COMMANDS:
            server.answers(method, path, Answer(
                200, b'{}' if isinstance(answer, bytes) else answer))
            subprocess.run([FOREBAY, '--root', root, *command.split()],
                           input=POLICY_FILE.encode(), timeout=30, check=True,
                           stdout=subprocess.DEVNULL)
            asked_method, asked_path, body = server.asked[-1]
            with self.subTest(command):
                self.assertEqual((asked_method, asked_path), (method, path))
                self.check_request(asked_method, asked_path, body)

    def check_request(self, method, path, body):
        path, _, query = path.partition('?')
        operation = self.contract.operation(method, path)
        if 'requestBody' in operation:
            self.check(body,
                       self.contract.body_schema(operation['requestBody']))
        else:
            self.assertIsNone(body)
        known = {parameter['name']: parameter['schema'] for parameter
                 in operation.get('parameters', ())
                 if parameter.get('in') == 'query'}
        for pair in filter(None, query.split('&')):
            name, _, text = pair.partition('=')
            self.check({'true': True}.get(text, text), known[name])

    def test_every_operation_for_people_has_a_verb(self):
        used = {self.contract.operation(method, path.split('?')[0])[
            'operationId'] for _, method, path, _ in COMMANDS}
        # What isn't below /v1 is for monitoring.
        offered = {operation['operationId'] for path, item
                   in self.contract.api['paths'].items()
                   for method, operation in item.items()
                   if path.startswith('/v1/') and method in ('get', 'post', 'put', 'patch', 'delete')}
        # The lists show all that these two do.
        self.assertEqual(offered - used, {'policy_show'})


if __name__ == '__main__':
    tap.main()
