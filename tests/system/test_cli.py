# SPDX-License-Identifier: Apache-2.0
"""The life of a disk by the command line alone, with everything real behind
it; data goes through NBD by its own clients."""

import json
import os
import re
import subprocess
import unittest

import tap
from forebay import Host
from spawn import folder, wait_until

MIB = 1 << 20
DISK_MIB = 64

GOLD = '''\
name: gold
filters:
  - filter: throttle
    properties: {{ iops: 100000 }}
  - filter: cache
    properties:
      mode: {mode}
      limit: 128MiB
      max_dirty_age: 1h
'''


class CliTest(unittest.TestCase):
    def setUp(self):
        self.work = folder(self)
        self.image = os.path.join(self.work, 'd1.raw')
        self.host = Host(self.work)
        self.addCleanup(self.host.stop)
        self.host.start()

    def cli(self, *words):
        return self.host.cli(*words)

    def refused(self, code, *words):
        """The one line of a refusal with that exit code."""
        done = self.host.try_cli(*words)
        self.assertEqual((done.returncode, done.stdout), (code, ''),
                         done.stderr)
        self.assertRegex(done.stderr, r'^forebay: [^\n]+\n$')
        return done.stderr

    def policy_file(self, text):
        path = os.path.join(self.work, 'policy.yaml')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def make_disk(self, mode='write-back'):
        pool = os.path.join(self.work, 'pool')
        os.mkdir(pool)
        self.assertRegex(self.cli('pool', 'create', 'ssd', pool),
                         r'^pool ssd: created, ')
        self.assertEqual(
            self.cli('policy', 'create', '-f',
                     self.policy_file(GOLD.format(mode=mode))),
            'policy gold: created, throttle, cache\n')
        self.assertEqual(
            self.cli('disk', 'create', 'd1', '--backend', self.image,
                     '--size', f'{DISK_MIB}MiB', '--policy', 'gold'),
            f'disk d1: created, {DISK_MIB}MiB on file:{self.image}, policy '
            'gold\n')

    def uri(self):
        return self.host.disk('d1')['exports']['nbd']['uri']

    def client(self, *words):
        done = subprocess.run(words, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def qemu_io(self, *commands):
        words = [word for command in commands for word in ('-c', command)]
        shown = self.client('qemu-io', '-f', 'raw', '-t', 'none', *words,
                            self.uri())
        # It reports a pattern that doesn't fit on stdout, with exit 0.
        self.assertNotIn('failed', shown)
        return shown

    def in_image(self, offset, length):
        with open(self.image, 'rb') as file:
            file.seek(offset)
            return file.read(length)


class Life(CliTest):
    def test_a_disk_lives_from_create_to_delete(self):
        self.make_disk()
        opened = self.cli('disk', 'open', 'd1')
        sockets = self.host.disk('d1')['exports']
        self.assertRegex(opened, r'^disk d1: open\n')
        for kind in ('vhost-user-blk', 'nbd'):
            self.assertRegex(
                opened, rf'  {kind} +{re.escape(sockets[kind]["socket"])}\n')
            self.assertTrue(os.path.exists(sockets[kind]['socket']))

        self.qemu_io(f'write -P 0xa5 {MIB} {MIB}', 'flush',
                     f'read -P 0xa5 {MIB} {MIB}')
        stats = self.host.stats('d1')
        self.assertGreaterEqual(stats['requests']['write']['bytes'], MIB)
        self.assertEqual(self.host.disk('d1')['dirty_bytes'], MIB)
        self.assertEqual(self.in_image(MIB, MIB), bytes(MIB))

        self.assertEqual(self.cli('disk', 'flush', 'd1'),
                         f'disk d1: flushed to file:{self.image}\n')
        self.assertEqual(self.in_image(MIB, MIB), b'\xa5' * MIB)
        self.assertEqual(self.host.disk('d1')['dirty_bytes'], 0)

        self.qemu_io(f'write -P 0x5a {MIB} 4096')
        copy = os.path.join(self.work, 'copy.raw')
        self.client('nbdcopy', self.uri(), copy)
        self.assertEqual(
            self.cli('disk', 'close', 'd1'),
            f'disk d1: closed; everything is on file:{self.image}\n')
        self.assertEqual(self.in_image(MIB, 4096), b'\x5a' * 4096)
        self.client('cmp', copy, self.image)

        self.assertEqual(
            self.cli('disk', 'delete', 'd1'),
            f'disk d1: deleted; file:{self.image} is untouched\n')
        self.assertIn('disk d1', self.refused(3, 'disk', 'show', 'd1'))
        self.client('cmp', copy, self.image)
        self.assertEqual(self.cli('disk', 'list'), '')

    def test_an_existing_image_is_adopted_with_its_bytes(self):
        content = os.urandom(3 * MIB)
        with open(self.image, 'wb') as file:
            file.write(content)
        self.cli('disk', 'create', 'd1', '--backend', self.image, '--export',
                 'nbd')
        self.cli('disk', 'open', 'd1')
        copy = os.path.join(self.work, 'copy.raw')
        self.client('nbdcopy', self.uri(), copy)
        with open(copy, 'rb') as file:
            self.assertEqual(file.read(), content)
        self.assertEqual(list(self.host.disk('d1')['exports']), ['nbd'])

    def test_deleting_with_the_backend_removes_the_image(self):
        self.make_disk()
        self.assertEqual(
            self.cli('disk', 'delete', 'd1', '--delete-backend'),
            f'disk d1: deleted; file:{self.image} is deleted too\n')
        self.assertFalse(os.path.exists(self.image))


class Tables(CliTest):
    def test_every_table_agrees_with_json(self):
        self.make_disk(mode='write-through')
        self.cli('disk', 'open', 'd1')
        status = self.host.json('status')
        shown = self.cli('status')
        self.assertRegex(shown, rf'(?m)^State +{status["state"]}$')
        self.assertRegex(shown, r'(?m)^Disks +1 open$')
        path = self.host.json('pool', 'list')['items'][0]['paths'][0]
        self.assertRegex(
            self.cli('pool', 'list'),
            rf'(?m)^ssd +ready +{path["size_bytes"]} +\d+ +{path["path"]}')
        self.assertRegex(self.cli('policy', 'list'),
                         r'(?m)^gold +1 +1 +throttle, cache$')
        for item in self.host.json('filter', 'list')['items']:
            self.assertRegex(self.cli('filter', 'list'),
                             rf'(?m)^{item["name"]} +ready +'
                             rf'{item["version"]} +{item["class"]}')
        self.assertRegex(
            self.cli('disk', 'list'),
            rf'(?m)^d1 +open +{DISK_MIB * MIB} +0 +write-through +gold')
        disk = self.host.disk('d1')
        shown = self.cli('disk', 'show', 'd1')
        for label, value in (('Id', disk['id']), ('State', 'open'),
                             ('Mode actual', 'write-through'),
                             ('nbd', disk['exports']['nbd']['uri'])):
            self.assertRegex(shown, rf'(?m)^{label} +{re.escape(value)}$')

    def test_statistics_name_every_operation_and_filter(self):
        self.make_disk()
        self.cli('disk', 'open', 'd1')
        self.qemu_io('write -P 1 0 64k', 'read -P 1 0 64k', 'flush')
        shown = self.cli('disk', 'stats', 'd1')
        for operation in ('read', 'write', 'flush'):
            self.assertRegex(shown, rf'(?m)^{operation} +[1-9]')
        for line in ('Filter throttle', 'Filter cache',
                     'Mode requested +write-back', r'Hit ratio +[\d.]+',
                     r'Dirty \(bytes\) +65536'):
            self.assertRegex(shown, rf'(?m)^{line}$')

    def test_yaml_and_json_hold_the_same(self):
        try:
            import yaml
        except ImportError:
            self.skipTest('python3-yaml is missing')
        self.make_disk()
        for words in (('policy', 'list'), ('filter', 'list'),
                      ('disk', 'show', 'd1')):
            self.assertEqual(yaml.safe_load(self.cli(*words, '-o', 'yaml')),
                             json.loads(self.cli(*words, '-o', 'json')))

    def test_xml_names_the_disks_socket(self):
        self.make_disk()
        socket = self.host.disk('d1')['exports']['vhost-user-blk']['socket']
        shown = self.cli('disk', 'xml', 'd1', '--target', 'vdb')
        self.assertIn(socket, shown)
        self.assertIn('vdb', shown)


class Refusals(CliTest):
    """test_bad_input.py has the world's faults; these are the exit codes."""

    def test_each_kind_of_refusal_has_its_exit_code(self):
        self.make_disk()
        self.assertIn('nothing', self.refused(3, 'disk', 'open', 'nothing'))
        self.assertIn('d1', self.refused(4, 'disk', 'create', 'd1',
                                         '--backend', self.image))
        self.assertIn('512', self.refused(2, 'disk', 'create', 'd2',
                                          '--backend', self.image + '2',
                                          '--size', '1000'))
        self.assertIn('gold', self.refused(
            4, 'policy', 'create', '-f',
            self.policy_file(GOLD.format(mode='write-back'))))
        self.cli('disk', 'open', 'd1')
        self.refused(4, 'disk', 'delete', 'd1')
        self.refused(4, 'disk', 'stats', self.other_disk())
        odd = self.policy_file(
            GOLD.format(mode='sideways').replace('gold', 'odd'))
        self.assertRegex(
            self.refused(2, 'policy', 'create', '-f', odd),
            f'^forebay: {odd}:7: property mode of filter cache must be one '
            'of: write-back')

    def other_disk(self):
        """A disk that is closed."""
        self.cli('disk', 'create', 'closed', '--backend', self.image + '3',
                 '--size', '1MiB')
        return 'closed'

    def test_opening_and_closing_twice_is_fine(self):
        self.make_disk()
        for _ in range(2):
            self.cli('disk', 'open', 'd1')
        pid = self.host.disk('d1')['pid']
        self.cli('disk', 'open', 'd1')
        self.assertEqual(self.host.disk('d1')['pid'], pid)
        for _ in range(2):
            self.cli('disk', 'close', 'd1')

    def test_a_stopped_forebayd_is_named_and_the_disk_goes_on(self):
        self.make_disk()
        self.cli('disk', 'open', 'd1')
        uri = self.uri()
        self.host.kill_daemon()
        line = self.refused(5, 'status')
        self.assertIn(self.host.socket, line)
        self.assertIn(f"'forebayd --root {self.work}'", line)
        self.client('qemu-io', '-f', 'raw', '-c', 'write -P 7 0 4k', uri)
        self.host.start()
        wait_until(lambda: self.host.disk('d1')['state'] == 'open', 30,
                   'the disk is adopted')
        self.qemu_io('read -P 7 0 4k')


if __name__ == '__main__':
    tap.main()
