# SPDX-License-Identifier: Apache-2.0
"""Every verb against a scripted forebayd: what it asks, shows and returns."""

import json
import os
import pty
import re
import socket
import subprocess
import threading
import unittest

import documents
import spawn
import tap
from forebay import BUILD
from scripted import Answer, Scripted, problem

FOREBAY = os.path.join(BUILD, 'src/cli/forebay')


class CliTest(unittest.TestCase):
    def setUp(self):
        self.root = spawn.folder(self)
        self.environment = {**os.environ, 'LC_ALL': 'C.UTF-8'}
        for name in ('FOREBAY_ROOT', 'NO_COLOR', 'http_proxy'):
            self.environment.pop(name, None)

    def serve(self):
        return Scripted(self, self.root)

    def run_cli(self, *words, text='', **options):
        """Runs it in a pipe, as scripts do."""
        done = subprocess.run(
            [FOREBAY, '--root', self.root, *words], input=text, timeout=30,
            capture_output=True, encoding='utf-8',
            env=options.pop('env', self.environment), **options)
        self.assertNotRegex(done.stderr, 'Sanitizer|runtime error')
        return done

    def ok(self, *words, **options):
        done = self.run_cli(*words, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return done.stdout

    def fails(self, code, line, *words, **options):
        done = self.run_cli(*words, **options)
        self.assertEqual(done.stderr, f'forebay: {line}\n')
        self.assertEqual((done.returncode, done.stdout), (code, ''))

    def on_terminal(self, *words, env=None):
        """Runs it on a terminal of 100 columns; returns what that shows."""
        ours, theirs = pty.openpty()
        environment = {**self.environment, 'TERM': 'xterm', 'COLUMNS': '100',
                       **(env or {})}
        process = subprocess.Popen(
            [FOREBAY, '--root', self.root, *words], stdin=theirs,
            stdout=theirs, stderr=theirs, env=environment,
            preexec_fn=spawn.die_with_parent)
        os.close(theirs)
        shown = b''
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:
                more = b''
            if not more:
                break
            shown += more
        os.close(ours)
        self.assertEqual(process.wait(30), 0)
        return shown.decode().replace('\r\n', '\n')


class Status(CliTest):
    def test_status_names_the_daemons_and_what_needs_attention(self):
        self.serve().answers('GET', '/v1/status',
                             Answer(200, documents.STATUS))
        shown = self.ok('status')
        self.assertRegex(shown, r'(?m)^State +degraded$')
        self.assertRegex(shown, r'(?m)^Cache daemon +running$')
        self.assertRegex(shown, r'(?m)^Disks +2 open, 1 closed$')
        self.assertRegex(shown, r'(?m)^disk d2 +its process died 5 times$')

    def test_the_root_may_come_from_the_environment(self):
        self.serve().answers('GET', '/v1/status',
                             Answer(200, documents.STATUS))
        done = subprocess.run(
            [FOREBAY, 'status'], capture_output=True, timeout=30,
            env={**self.environment, 'FOREBAY_ROOT': self.root})
        self.assertEqual(done.returncode, 0)

    def test_a_proxy_in_the_environment_is_not_used(self):
        self.serve().answers('GET', '/v1/status',
                             Answer(200, documents.STATUS))
        self.ok('status', env={**self.environment,
                               'http_proxy': 'http://127.0.0.1:1'})


class Output(CliTest):
    def test_json_is_byte_for_byte_what_the_api_answered(self):
        odd = b'{ "version":"0.1.0",\n\n  "pools" : 1e0,"x":"\\u00e4"}'
        self.serve().answers('GET', '/v1/status', Answer(200, odd))
        self.assertEqual(self.ok('status', '-o', 'json'),
                         odd.decode() + '\n')

    def test_yaml_holds_the_same_values(self):
        try:
            import yaml
        except ImportError:
            self.skipTest('python3-yaml is missing')
        server = self.serve()
        for document in (documents.STATUS, documents.STATS,
                         {'items': documents.FILTERS}):
            server.answers('GET', '/v1/status', Answer(200, document))
            self.assertEqual(
                yaml.safe_load(self.ok('status', '-o', 'yaml')), document)

    def test_a_terminal_gets_colours_and_rounded_sizes(self):
        self.serve().answers('GET', '/v1/disks',
                             Answer(200, {'items': [documents.DISK]}))
        shown = self.on_terminal('disk', 'list')
        self.assertRegex(shown, r'\x1b\[32mopen *\x1b\[')
        self.assertIn('5 MiB', shown)
        self.assertIn('1 GiB', shown)
        self.assertNotIn('BYTES', shown)

    def test_no_color_and_dumb_terminals_are_respected(self):
        self.serve().answers('GET', '/v1/disks',
                             Answer(200, {'items': [documents.DISK]}))
        for env in ({'NO_COLOR': '1'}, {'TERM': 'dumb'}):
            shown = self.on_terminal('disk', 'list', env=env)
            self.assertNotIn('\x1b', shown)
            self.assertIn('5 MiB', shown)

    def test_a_pipe_gets_exact_numbers_and_no_colours(self):
        self.serve().answers('GET', '/v1/disks',
                             Answer(200, {'items': [documents.DISK]}))
        shown = self.ok('disk', 'list')
        self.assertNotIn('\x1b', shown)
        self.assertRegex(shown, r'SIZE_BYTES +DIRTY_BYTES')
        self.assertRegex(shown, r'1073741824 +5242880')

    def test_an_empty_list_says_so_to_people_only(self):
        server = self.serve()
        for noun, path in (('pool', 'pools'), ('policy', 'policies'),
                           ('disk', 'disks')):
            server.answers('GET', f'/v1/{path}', Answer(200, {'items': []}))
            self.assertEqual(self.ok(noun, 'list'), '')
            self.assertEqual(
                self.on_terminal(noun, 'list'),
                f"no {path}; make one with 'forebay {noun} create'\n")

    def test_control_characters_in_a_name_do_not_reach_the_terminal(self):
        hostile = {**documents.DISK, 'name': 'x\x1b]0;evil\x07'}
        server = self.serve()
        server.answers('GET', '/v1/disks', Answer(200, {'items': [hostile]}))
        server.answers('GET', '/v1/status', problem(
            500, 'internal', 'bad \x1b[2J\nnews', object='disk \x07'))
        self.assertNotIn('\x1b', self.ok('disk', 'list'))
        done = self.run_cli('status')
        self.assertNotIn('\x1b', done.stderr)
        self.assertEqual(done.stderr.count('\n'), 1)

    def test_a_full_standard_output_is_reported(self):
        self.serve().answers('GET', '/v1/status',
                             Answer(200, documents.STATUS))
        with open('/dev/full', 'wb') as full:
            done = subprocess.run(
                [FOREBAY, '--root', self.root, 'status', '-o', 'json'],
                stdout=full, stderr=subprocess.PIPE, timeout=30,
                env=self.environment)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'standard output: cannot be written', done.stderr)


class Pools(CliTest):
    def test_create_sends_absolute_paths(self):
        server = self.serve()
        server.answers('POST', '/v1/pools', Answer(201, documents.POOL))
        shown = self.ok('pool', 'create', 'ssd', '/mnt/a', 'b', cwd=self.root)
        self.assertEqual(shown, 'pool ssd: created, ready\n')
        self.assertEqual(server.bodies('POST', '/v1/pools'),
                         [{'name': 'ssd',
                           'paths': ['/mnt/a', f'{self.root}/b']}])

    def test_list_has_a_row_for_each_path(self):
        self.serve().answers('GET', '/v1/pools',
                             Answer(200, {'items': [documents.POOL]}))
        shown = self.ok('pool', 'list').splitlines()
        self.assertEqual(shown[0].split(),
                         ['POOL', 'STATE', 'SIZE_BYTES', 'FREE_BYTES',
                          'PATH', 'NOTE'])
        self.assertEqual(shown[1].split(),
                         ['ssd', 'ready', '107374182400', '3221225472',
                          '/mnt/a', '-'])
        self.assertEqual(shown[2].split(maxsplit=5),
                         ['ssd', 'missing', '-', '-', '/mnt/b',
                          'it is missing'])

    def test_show_names_the_disks_of_each_directory(self):
        self.serve().answers('GET', '/v1/pools/ssd',
                             Answer(200, documents.POOL))
        shown = self.ok('pool', 'show', 'ssd').splitlines()
        self.assertEqual(shown[0].split()[4], 'GRANTED_BYTES')
        self.assertEqual(shown[1].split()[4], '7516192768')
        self.assertRegex(shown[1], r'^/mnt/a +ready .* d1 d2 +-$')
        self.assertRegex(shown[2], r'^/mnt/b +missing .* d3 +it is missing$')

    def test_list_has_a_column_for_what_is_wrong(self):
        waiting = {**documents.POOL, 'state': 'pending',
                   'reason': 'the cache daemon is starting'}
        self.serve().answers('GET', '/v1/pools',
                             Answer(200, {'items': [waiting]}))
        self.assertRegex(self.ok('pool', 'list'), r'(?m)^ssd +pending .*'
                         r'/mnt/a +the cache daemon is starting$')


class Policies(CliTest):
    GOLD = ('name: gold\n'
            'filters:\n'
            '  - filter: throttle\n'
            '    properties: { iops: 20000 }\n'
            '  - filter: cache\n'
            '    properties: { mode: write-back, limit: 40GiB }\n')

    def file(self, text):
        path = f'{self.root}/p.yaml'
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def test_create_sends_the_file_as_json(self):
        server = self.serve()
        server.answers('POST', '/v1/policies', Answer(201, documents.POLICY))
        shown = self.ok('policy', 'create', '-f', self.file(self.GOLD))
        self.assertEqual(shown, 'policy gold: created, throttle, cache\n')
        self.assertEqual(
            server.bodies('POST', '/v1/policies'),
            [{'name': 'gold', 'filters': [
                {'filter': 'throttle', 'properties': {'iops': 20000}},
                {'filter': 'cache', 'properties': {
                    'mode': 'write-back', 'limit': '40GiB'}}]}])

    def test_update_names_the_disks_that_were_not_told(self):
        server = self.serve()
        server.answers('POST', '/v1/policies/gold/update', Answer(200, {
            **documents.POLICY, 'version': 4,
            'untold': [{'disk': 'd1', 'reason': 'it does not answer'}]}))
        self.assertEqual(
            self.ok('policy', 'update', '-f', self.file(self.GOLD)),
            'policy gold: updated, version 4\n'
            '  disk d1 has the version before: it does not answer; restart it '
            "with 'forebay disk restart d1'\n")

    def test_create_reads_standard_input_for_a_dash(self):
        server = self.serve()
        server.answers('POST', '/v1/policies', Answer(201, documents.POLICY))
        self.ok('policy', 'create', '-f', '-', text=self.GOLD)
        self.assertEqual(len(server.asked), 1)

    def test_a_wrong_file_is_refused_with_its_line_and_nothing_is_sent(self):
        server = self.serve()
        cases = (
            ('name: gold\nfilter:\n  - filter: a\n',
             "2: unknown key 'filter'; did you mean filters"),
            ('name: gold\nfilters:\n  - filter: a\n    propertys: {}\n',
             "4: unknown key 'propertys'; did you mean properties"),
            ('name: gold\nfilters:\n  - filter: a\n    colour: {}\n',
             "4: unknown key 'colour'; only these are known: filter, "
             'properties, on_failure'),
            ('name: gold\nfilters:\n  - filter: a\n  - throttle\n',
             "4: a filter must be written '- filter: NAME'"),
            ('name: gold\nfilters:\n  - properties: {}\n',
             "3: the filter lacks its name; write '- filter: NAME'"),
            ('name: gold\nfilters:\n  - filter: a\n    properties: [1]\n',
             "4: properties must be 'NAME: VALUE' pairs; indent them below "
             'the key'),
            ('name: gold\nfilters: cache\n',
             "2: filters must be a list; begin each with '- filter: NAME'"),
            ('filters: []\n',
             "1: the policy lacks its name; write 'name: NAME'"),
            ('name: 12\n',
             "1: the policy lacks its name; write 'name: NAME'"),
            ('gold\n',
             "1: a policy begins with 'name: NAME'; see 'forebay policy "
             "create --help'"),
            ('name: gold\n\tfilters: []\n',
             '2: not YAML: found a tab character that violates indentation, '
             'while scanning a plain scalar'),
        )
        for text, message in cases:
            path = self.file(text)
            with self.subTest(text):
                self.fails(2, f'{path}:{message}', 'policy', 'create', '-f',
                           path)
        self.assertEqual(server.asked, [])

    def test_what_forebayd_refuses_is_shown_with_its_line(self):
        server = self.serve()
        path = self.file(self.GOLD)
        for pointer, place in (('/filters/1/properties/limit', f'{path}:6: '),
                               ('/filters/0/filter', f'{path}:3: '),
                               ('/filters/1/properties/x~1y', f'{path}:6: '),
                               ('nonsense', f'{path}:1: '), (None, '')):
            members = {'pointer': pointer} if pointer else {}
            server.answers('POST', '/v1/policies', problem(
                400, 'bad-property', 'must be less', object='filter cache',
                **members))
            self.fails(2, f'{place}filter cache: must be less', 'policy',
                       'create', '-f', path)

    def test_a_refusal_of_no_object_is_about_the_policy(self):
        self.serve().answers('POST', '/v1/policies', problem(
            507, 'no-space', 'the store is full', hint='make room'))
        self.fails(1, 'policy gold: the store is full; make room', 'policy',
                   'create', '-f', self.file(self.GOLD))

    def test_a_missing_file_is_named(self):
        path = f'{self.root}/none.yaml'
        self.fails(3, f'{path}: cannot be read: No such file or directory; '
                   'name a YAML file', 'policy', 'create', '-f', path)
        self.fails(1, f'{self.root}: cannot be read: Is a directory',
                   'policy', 'create', '-f', self.root)

    def test_list_counts_disks(self):
        self.serve().answers('GET', '/v1/policies',
                             Answer(200, {'items': [documents.POLICY]}))
        self.assertRegex(self.ok('policy', 'list'),
                         r'gold +1 +2 +throttle, cache\n$')


class Filters(CliTest):
    def test_list_shows_what_cannot_be_used_and_why(self):
        self.serve().answers('GET', '/v1/filters',
                             Answer(200, {'items': documents.FILTERS}))
        shown = self.ok('filter', 'list')
        self.assertRegex(
            shown, r'cache +ready +0\.1\.0 +cache +forebay +0 +write-back SSD cache\n')
        self.assertRegex(shown, r'bad +failed +- +- +- +0 +needs ABI 9\n')


    def test_status_shows_metrics_held_and_blocked(self):
        server = self.serve()
        server.answers('GET', '/v1/disks/d1/filters',
                       Answer(200, {'items': documents.FILTER_STATUS}))
        shown = self.ok('filter', 'status', 'd1')
        for line in ('Filter xor', r'Turned \(bytes\) +8192',
                     r'Read time sum \(ns\) +2500000',
                     r'Read time count +3', r'Held requests +1',
                     r'Blocked count +2'):
            self.assertRegex(shown, f'(?m)^{line}$')
        self.run_cli('filter', 'status', 'd1', 'xor')
        self.assertEqual(server.asked[-1][1], '/v1/disks/d1/filters?filter=xor')

    def test_call_sends_arguments_of_the_declared_types(self):
        server = self.serve()
        server.answers('GET', '/v1/filters',
                       Answer(200, {'items': documents.FILTERS}))
        server.answers('POST', '/v1/disks/d1/call',
                       Answer(200, {'result': {'was': 1}}))
        shown = self.ok('filter', 'call', 'd1', 'cache', 'mark', 'count=12',
                        'text=12', 'force=true', 'size=4KiB')
        self.assertEqual(json.loads(shown), {'was': 1})
        self.assertEqual(server.asked[-1][2], {
            'filter': 'cache', 'action': 'mark', 'arguments': {
                'count': 12, 'text': '12', 'force': True, 'size': '4KiB'}})

    def test_call_without_arguments_or_result_is_quiet(self):
        server = self.serve()
        server.answers('POST', '/v1/disks/d1/call',
                       Answer(200, {'result': None}))
        self.assertEqual(self.ok('filter', 'call', 'd1', 'cache', 'go'), '')

    def test_what_is_no_argument_is_refused(self):
        server = self.serve()
        server.answers('GET', '/v1/filters', Answer(200, {'items': []}))
        self.fails(2, "filter call: 'x' is no argument; write NAME=VALUE",
                   'filter', 'call', 'd1', 'cache', 'go', 'x')
        self.fails(2, "filter call: 'a' is given twice",
                   'filter', 'call', 'd1', 'cache', 'go', 'a=1', 'a=2')


class Disks(CliTest):
    def test_create_sends_what_was_given_and_nothing_else(self):
        server = self.serve()
        server.answers('POST', '/v1/disks', Answer(201, documents.DISK))
        shown = self.ok('disk', 'create', 'd1', '--backend', 'd1.raw',
                        '--size', '1.5GiB', '--policy', 'gold', '--export',
                        'vhost-user-blk,nbd', cwd=self.root)
        self.assertEqual(shown, 'disk d1: created, 1GiB on file:/srv/d1.raw, '
                         'policy gold\n')
        self.ok('disk', 'create', 'd1', '--backend', 'rbd:p/i')
        self.assertEqual(server.bodies('POST', '/v1/disks'), [
            {'name': 'd1', 'backend': f'file:{self.root}/d1.raw',
             'policy': 'gold', 'exports': ['vhost-user-blk', 'nbd'],
             'size_bytes': 3 << 29},
            {'name': 'd1', 'backend': 'rbd:p/i'}])

    def test_create_refuses_a_size_that_is_none(self):
        self.fails(2, "--size: '12Q' is no size; write digits and KiB, MiB, "
                   'GiB or TiB, for example 20GiB', 'disk', 'create', 'd1',
                   '--backend', '/x', '--size', '12Q')

    def test_list_shows_the_mode_that_is_true(self):
        slow = {**documents.DISK, 'mode': {
            'requested': 'write-back', 'actual': 'write-through',
            'reason': 'x'}}
        self.serve().answers('GET', '/v1/disks', Answer(
            200, {'items': [slow, documents.CLOSED]}))
        shown = self.ok('disk', 'list').splitlines()
        self.assertRegex(shown[1], r'write-through \(not write-back\)  gold')
        self.assertEqual(shown[2].split(),
                         ['d2', 'closed', '1073741824', '0', '-', '-',
                          'file:/srv/d1.raw'])

    def test_show_has_the_sockets(self):
        self.serve().answers('GET', '/v1/disks/d1',
                             Answer(200, documents.DISK))
        shown = self.ok('disk', 'show', 'd1')
        for line in (r'State +open', r'Size \(bytes\) +1073741824',
                     r'Policy +gold', r'Mode actual +write-back',
                     r'vhost-user-blk +/r/run/disks/6b/vhost-user-blk.sock',
                     r'nbd +nbd\+unix:///d1\?socket=/r/run/disks/6b/nbd.sock',
                     r'Restarts +1',
                     r'Sandbox +own-user, no-capabilities, ring-limits'):
            self.assertRegex(shown, f'(?m)^{line}$')

    def test_a_name_is_escaped_in_the_path(self):
        server = self.serve()
        self.run_cli('disk', 'show', 'a/../b?c')
        self.assertEqual(server.asked[0][1], '/v1/disks/a%2F..%2Fb%3Fc')

    def test_stats_shows_operations_and_every_filter(self):
        self.serve().answers('GET', '/v1/disks/d1/stats',
                             Answer(200, documents.STATS))
        shown = self.ok('disk', 'stats', 'd1')
        self.assertRegex(shown, r'(?m)^read +1000 +4096000 +0 +85\.5 +240 '
                         r'+1250\.0 +2501\.0$')
        self.assertRegex(shown, r'(?m)^flush +0 +0 +0 +- +- +- +-$')
        for line in ('Filter throttle', r'Wait \(ns\) +1500000',
                     'Filter cache', 'Mode actual +write-through',
                     'Mode reason +the pool is full', r'Hit ratio +0\.875',
                     r'Dirty \(bytes\) +5242880', 'Log epoch +3',
                     r'Read miss \(bytes\) +0', 'Log SSD flushes +2',
                     r'Delay p50 \(us\) +3\.5', 'Export vhost-user-blk',
                     'Connected +yes', 'Queues +2',
                     r'Copied \(bytes\) +0', 'In flight +3'):
            self.assertRegex(shown, f'(?m)^{line}$')
        for word in ('replayed', 'bad blocks', 'nbd.sock', 'Connections'):
            self.assertNotIn(word, shown)

    def test_advice_begins_with_a_sentence(self):
        self.serve().answers('GET', '/v1/disks/d1/advice',
                             Answer(200, documents.ADVICE))
        shown = self.ok('disk', 'advise', 'd1').splitlines()
        self.assertEqual(shown[0], documents.ADVICE['summary'])
        self.assertEqual([line.split() for line in shown[2:]],
                         [['SIZE_BYTES', 'HITS', 'DOUBLING', 'PRESENT'],
                          ['536870912', '0.25', '0.36', 'no'],
                          ['1073741824', '0.61', '0.22', 'yes'],
                          ['2147483648', '0.83', '-', 'no']])

    def test_advice_is_a_curve_on_a_terminal(self):
        self.serve().answers('GET', '/v1/disks/d1/advice',
                             Answer(200, documents.ADVICE))
        shown = self.on_terminal('disk', 'advise', 'd1',
                                 env={'NO_COLOR': '1', 'LC_ALL': 'C.UTF-8'})
        self.assertRegex(shown, r'512 MiB +25\.0 % +36\.0 % +no +█{6}\s')
        self.assertRegex(shown, r'1 GiB +61\.0 % +22\.0 % +yes +█{14}▋\s')

    def test_advice_without_block_characters_is_drawn_all_the_same(self):
        self.serve().answers('GET', '/v1/disks/d1/advice',
                             Answer(200, documents.ADVICE))
        shown = self.on_terminal('disk', 'advise', 'd1',
                                 env={'NO_COLOR': '1', 'LC_ALL': 'C'})
        self.assertRegex(shown, r'512 MiB +25\.0 % +36\.0 % +no +#{6}\s')

    def test_advice_that_needs_more_reads_has_no_table(self):
        few = {**documents.ADVICE, 'enough': False, 'points': [],
               'summary': 'too little was read so far to say'}
        self.serve().answers('GET', '/v1/disks/d1/advice', Answer(200, few))
        self.assertEqual(self.ok('disk', 'advise', 'd1'),
                         'too little was read so far to say\n')

    def test_stats_is_rounded_on_a_terminal(self):
        self.serve().answers('GET', '/v1/disks/d1/stats',
                             Answer(200, documents.STATS))
        shown = self.on_terminal('disk', 'stats', 'd1', env={'NO_COLOR': '1'})
        self.assertRegex(shown, r'read +1 000 +3\.9 MiB +0 +86 us +240 us '
                         r'+1\.2 ms +2\.5 ms')
        self.assertRegex(shown, r'Hit ratio +87\.5 %')
        self.assertRegex(shown, r'Dirty +5 MiB')

    def test_a_hold_is_waited_for_and_says_what_to_do_next(self):
        server = self.serve()
        making = {**documents.DISK, 'hold': {
            **documents.HELD['hold'], 'state': 'making', 'left_bytes': 4096}}
        server.answers('POST', '/v1/disks/d1/hold', Answer(202, making))
        server.answers('GET', '/v1/disks/d1', Answer(200, making),
                       Answer(200, documents.HELD))
        self.assertEqual(
            self.ok('disk', 'flush', 'd1', '--hold'),
            'disk d1: held; file:/srv/d1.raw stays as it is for 597 s at '
            'most\n  copy it, or have its array make a snapshot; then: '
            'forebay disk release d1\n')

    def test_a_hold_that_ends_before_it_is_there_fails_and_is_released(self):
        server = self.serve()
        ended = {**documents.DISK, 'hold': {
            **documents.HELD['hold'], 'state': 'ended',
            'reason': 'its time was over'}}
        server.answers('POST', '/v1/disks/d1/hold', Answer(202, ended))
        server.answers('POST', '/v1/disks/d1/release',
                       Answer(409, {'title': 'x', 'detail': 'ended'}))
        self.fails(4, "disk d1 can't be held: its time was over",
                   'disk', 'flush', 'd1', '--hold')
        self.assertEqual(
            len(server.bodies('POST', '/v1/disks/d1/release')), 1)

    def test_open_close_and_flush_wait_until_it_is_done(self):
        server = self.serve()
        for verb, line in (
                ('open', 'disk d1: open\n  vhost-user-blk  '
                 '/r/run/disks/6b/vhost-user-blk.sock\n  nbd             '
                 '/r/run/disks/6b/nbd.sock\n'),
                ('close', 'disk d1: closed; everything is on '
                 'file:/srv/d1.raw\n'),
                ('flush', 'disk d1: flushed to file:/srv/d1.raw\n')):
            path = f'/v1/disks/d1/{verb}'
            busy = Answer(202, {**documents.DISK, 'state': 'opening'})
            state = 'closed' if verb == 'close' else 'open'
            server.answers('POST', path, busy, busy,
                           Answer(200, {**documents.DISK, 'state': state}))
            with self.subTest(verb):
                self.assertEqual(self.ok('disk', verb, 'd1'), line)
                self.assertEqual(server.bodies('POST', path),
                                 [None, None, None])

    def test_a_close_that_goes_on_says_so(self):
        server = self.serve()
        server.answers('POST', '/v1/disks/d1/close?background=true',
                       Answer(200, {**documents.DISK, 'state': 'draining'}))
        self.assertEqual(self.ok('disk', 'close', 'd1', '--background'),
                         'disk d1: closed; what is dirty is brought to '
                         'file:/srv/d1.raw\n')

    def test_a_long_verb_shows_its_progress_on_a_terminal(self):
        server = self.serve()
        watched = threading.Event()

        def done():
            watched.wait(20)
            return Answer(200, {**documents.DISK, 'state': 'closed'})

        def look():
            if len(server.bodies('GET', '/v1/disks/d1')) > 1:
                watched.set()
            return Answer(200, {**documents.DISK, 'state': 'closing'})

        server.answers('POST', '/v1/disks/d1/close', done)
        server.answers('GET', '/v1/disks/d1', look)
        shown = self.on_terminal('disk', 'close', 'd1')
        self.assertRegex(shown, r'disk d1: close: \d+ s, state closing, '
                         r'5 MiB dirty')
        self.assertTrue(shown.endswith(
            '\x1b[Kdisk d1: closed; everything is on file:/srv/d1.raw\n'))

    def test_delete_keeps_the_backend_unless_told(self):
        server = self.serve()
        deleted = documents.DELETED
        server.answers('DELETE', '/v1/disks/d1', Answer(200, deleted))
        self.assertEqual(self.ok('disk', 'delete', 'd1'), 'disk d1: deleted; '
                         'file:/srv/d1.raw is untouched\n')
        server.answers(
            'DELETE', '/v1/disks/d1?delete_backend=true&discard_dirty=true',
            Answer(200, {**deleted, 'backend_deleted': True,
                         'discarded_dirty_bytes': 4096}))
        self.assertEqual(
            self.ok('disk', 'delete', 'd1', '--discard-dirty',
                    '--delete-backend'),
            'disk d1: deleted; file:/srv/d1.raw is deleted too\n'
            '  at most 4KiB had not been written back and are gone\n')

    def test_xml_is_printed_as_it_came(self):
        server = self.serve()
        server.answers('GET', '/v1/disks/d1/xml',
                       Answer(200, documents.XML, 'text/xml'))
        server.answers('GET', '/v1/disks/d1/xml?export=nbd&target=vdb',
                       Answer(200, b'<disk/>\n', 'text/xml'))
        server.answers('GET', '/v1/disks/d1/xml?target=vdc',
                       Answer(200, b'<c/>\n', 'text/xml'))
        self.assertEqual(self.ok('disk', 'xml', 'd1'),
                         documents.XML.decode())
        self.assertEqual(self.ok('disk', 'xml', 'd1', '--export', 'nbd',
                                 '--target', 'vdb'), '<disk/>\n')
        self.assertEqual(self.ok('disk', 'xml', 'd1', '--target', 'vdc'),
                         '<c/>\n')
        self.fails(2, '--output: disk xml prints XML only; leave it out',
                   'disk', 'xml', 'd1', '-o', 'json')
        self.fails(2, "--target: 'a&b' can't be right; see 'forebay disk xml "
                   "--help'", 'disk', 'xml', 'd1', '--target', 'a&b')


class Failures(CliTest):
    def test_a_problem_becomes_one_line_and_its_exit_code(self):
        server = self.serve()
        cases = (
            (404, 3, 'no-such-disk', 'is not known', 'disk d9',
             "see 'forebay disk list'",
             "disk d9: is not known; see 'forebay disk list'"),
            (409, 4, 'disk-open', 'disk d9 is open', 'disk d9', 'close it',
             'disk d9 is open; close it'),
            (400, 2, 'bad-size', '513 is no multiple of 512', None, None,
             'disk d9: 513 is no multiple of 512'),
            (409, 4, 'backend-missing', 'backend file:/x/y is missing',
             'backend /x/y', 'make it', 'backend file:/x/y is missing; '
             'make it'),
            (500, 1, 'internal', 'the store is full', None, 'make room',
             'disk d9: the store is full; make room'),
            (504, 6, 'data-plane-timeout', 'no answer', 'disk d9', 'wait',
             'disk d9: no answer; wait'),
        )
        for status, code, name, detail, thing, hint, line in cases:
            server.answers('GET', '/v1/disks/d9', problem(
                status, name, detail, object=thing, hint=hint))
            for form in ('table', 'json', 'yaml'):
                with self.subTest(name, form=form):
                    self.fails(code, line, 'disk', 'show', 'd9', '-o', form)

    def test_a_status_without_a_reason_is_reported(self):
        self.serve().answers('GET', '/v1/status',
                             Answer(502, b'<html>', 'text/html'))
        self.fails(1, 'forebayd: answered status 502 without saying why; '
                   'look in its log', 'status')

    def test_an_answer_that_is_not_json_is_reported(self):
        self.serve().answers('GET', '/v1/status',
                             Answer(200, b'hello', 'text/plain'))
        for form in ('table', 'json', 'yaml'):
            self.fails(1, "forebayd: answered something that isn't JSON; "
                       'look in its log', 'status', '-o', form)

    def test_an_answer_without_end_is_refused(self):
        self.serve().answers('GET', '/v1/status',
                             Answer(200, b' ' * ((16 << 20) + 1)))
        self.fails(1, 'forebayd: the answer is longer than 16 MiB; look in '
                   'its log', 'status')

    def test_an_answer_of_another_shape_does_not_crash(self):
        server = self.serve()
        for body in (b'[]', b'{"items": {}}', b'{"items": [1, null, {}]}',
                     b'{"disks": 1, "issues": 7, "requests": [3]}'):
            for verb in ('status', 'pool list', 'disk list', 'policy list',
                         'filter list', 'disk show x', 'disk stats x',
                         'disk open x', 'disk close x', 'disk delete x',
                         'disk create x --backend /y', 'pool create x /y'):
                path = {'status': '/v1/status', 'pool': '/v1/pools',
                        'policy': '/v1/policies', 'filter': '/v1/filters',
                        'disk': '/v1/disks'}[verb.split()[0]]
                for method in ('GET', 'POST', 'DELETE'):
                    for rest in ('', '/x', '/x/stats', '/x/open', '/x/close'):
                        server.answers(method, path + rest,
                                       Answer(200, body))
                with self.subTest(verb, body=body):
                    self.assertIn(self.run_cli(*verb.split()).returncode,
                                  (0, 1))

    def test_a_connection_that_ends_early_is_reported(self):
        self.serve().answers('GET', '/v1/status', None)
        done = self.run_cli('status')
        self.assertEqual(done.returncode, 5)
        self.assertRegex(done.stderr, r'^forebay: forebayd: the connection '
                         r'on \S+/run/forebayd\.sock ended before the answer '
                         r'\(.*\); see whether it runs, and its log\n$')

    def test_no_forebayd_says_which_socket_and_how_to_start_it(self):
        self.fails(5, f"forebayd: doesn't answer on {self.root}/run/"
                   'forebayd.sock: No such file or directory; start it with '
                   f"'forebayd --root {self.root}'", 'status')
        os.mkdir(f'{self.root}/run')
        # A socket that nobody serves any more.
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(f'{self.root}/run/forebayd.sock')
            gone.listen()
        self.fails(5, f"forebayd: doesn't answer on {self.root}/run/"
                   'forebayd.sock: Connection refused; start it with '
                   f"'forebayd --root {self.root}'", 'status')

    def test_a_root_too_long_for_a_socket_is_refused(self):
        root = '/tmp/' + 'x' * 90
        self.root, shorter = root, self.root
        self.fails(2, f"{root}/run/forebayd.sock: the socket's path has 113 "
                   'bytes, a socket takes 107; choose a shorter --root',
                   'status')
        self.root = shorter

    def test_usage_errors_ask_nothing_of_forebayd(self):
        server = self.serve()
        for words in (['dsik'], ['disk', 'crate'], ['disk', 'create', 'd1'],
                      ['disk', 'list', '--size', '1'], ['status', '-o', 'x']):
            done = self.run_cli(*words)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, r'^forebay: [^\n]+\n$')
        self.assertEqual(server.asked, [])

    def test_a_command_that_stops_early_shows_what_there_is(self):
        done = self.run_cli('disk')
        self.assertEqual((done.returncode, done.stdout), (2, ''))
        self.assertIn('forebay disk create NAME --backend URI', done.stderr)
        self.assertTrue(done.stderr.endswith('forebay: disk: needs a verb\n'))


class Help(CliTest):
    def test_version_is_one_line(self):
        self.assertTrue(re.fullmatch(r'forebay \d+\.\d+\.\d+\n',
                                     self.ok('--version')))

    def test_help_needs_no_forebayd(self):
        for words in (['--help'], ['disk', '--help'],
                      ['disk', 'create', '--help'], ['help', 'status']):
            self.assertIn('Examples:', self.ok(*words))


if __name__ == '__main__':
    tap.main()
