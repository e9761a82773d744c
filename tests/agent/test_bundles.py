# SPDX-License-Identifier: Apache-2.0
"""Filter bundles on a host: what is installed, what is refused and why, and
that a kill leaves one or the other. The programs are the real ones."""

import json
import os
import subprocess
import threading
import time
import unittest

import fbundle
import tap
from agent_host import BUILD, AgentHost
from sanitized import is_sanitized

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
DISK = os.path.join(BUILD, 'src/disk/forebay-disk')
NEEDS = {'files': [], 'devices': [], 'sockets': [], 'keys': [],
         'memory_bytes': 0}


class BundleHost(AgentHost):
    def __init__(self, test):
        super().__init__(test, neighbours=False)
        for path in (DISK, os.path.join(BUILD, 'src/bundle/forebay-bundle'),
                     os.path.join(BUILD, 'src/cached/forebay-cached')):
            os.symlink(path, os.path.join(self.programs,
                                          os.path.basename(path)))

    def installed(self):
        """What is below lib/filters, hidden or not."""
        folder = os.path.join(self.root, 'lib/filters')
        return sorted(
            os.path.relpath(os.path.join(path, name), folder)
            for path, names, _ in os.walk(folder) for name in names
            if path != folder or name.startswith('.'))


class WithBundles(unittest.TestCase):
    def setUp(self):
        self.host = BundleHost(self)
        self.key = fbundle.Key()
        self.trust(self.key)

    def trust(self, key, name='me'):
        return self.host.post('/trusted-keys',
                              {'name': name, 'key': key.public_text})

    def library(self, version='1.0.0'):
        """The null filter at a version."""
        with open(os.path.join(TOP, 'examples/null-filter.c'),
                  encoding='utf-8') as file:
            text = file.read().replace('"1.0.0"', f'"{version}"')
        path = os.path.join(self.host.root, 'null.so')
        subprocess.run(['cc', '-std=gnu17', '-shared', '-fPIC', '-I',
                        os.path.join(TOP, 'include'), '-x', 'c', '-o', path,
                        '-'], input=text, text=True, check=True, timeout=60)
        with open(path, 'rb') as file:
            return file.read()

    def described(self, library):
        path = os.path.join(self.host.root, 'described.so')
        with open(path, 'wb') as file:
            file.write(library)
        said = json.loads(subprocess.run(
            [DISK, '--describe-filter', path], capture_output=True,
            check=True, timeout=60).stdout)
        members = {name: said.pop(name) for name in (
            'name', 'version', 'class', 'description', 'abi_version')}
        return {**members, 'interface': said}

    def bundle(self, version='1.0.0', key=True, **members):
        """Of the null filter; @members of its manifest are otherwise."""
        library = self.library(version)
        files = [('null.so', library), ('docs/null.md', b'# null\n')]
        manifest = fbundle.manifest_of(files, **self.described(library))
        manifest.update(members)
        return fbundle.make(manifest, files, self.key if key is True else key)

    def upload(self, bundle):
        answer, text = self.host.raw('POST', '/v1/filters', bundle)
        return answer.status, json.loads(text)

    def install(self, bundle):
        status, filter_ = self.upload(bundle)
        self.assertEqual(status, 201, filter_)
        return filter_

    def refuse(self, bundle, issue):
        before = self.host.installed()
        status, problem = self.upload(bundle)
        self.assertEqual((status, problem['code'], problem.get('issue')),
                         (422, 'bundle-refused', issue), problem)
        self.assertTrue(problem['detail'].startswith(issue + ': '))
        self.assertTrue(problem['hint'])
        self.assertEqual(self.host.installed(), before)
        return problem

    def refuse_removal(self, name, code, words):
        status, problem = self.host.request('DELETE', '/filters/' + name)
        self.assertEqual(problem.get('code'), code, problem)
        self.assertGreaterEqual(status, 400)
        self.assertIn(words, problem['detail'])
        return problem

    def listed(self):
        return {f'{item["name"]}@{item.get("version")}': item
                for item in self.host.get('/filters')['items']}

    def make_policy(self, filter_, name='p'):
        return self.host.post('/policies',
                              {'name': name, 'filters': [{'filter': filter_}]})

    def running_library(self, disk):
        path = os.path.join(self.host.root, 'lib/disks', disk['id'] + '.json')
        with open(path, encoding='utf-8') as file:
            return json.load(file)['filters'][0]['library']


class Install(WithBundles):
    def test_an_installed_bundle_is_listed_with_its_signer_and_needs(self):
        needs = dict(NEEDS, sockets=['/run/x.sock'], memory_bytes=4096)
        filter_ = self.install(self.bundle(needs=needs))
        self.assertEqual((filter_['name'], filter_['version'],
                          filter_['issue']), ('null', '1.0.0', None))
        self.assertEqual(filter_['bundle'],
                         {'signer': 'me', 'key_id': self.key.key_id,
                          'needs': needs})
        self.assertTrue(self.listed()['null@1.0.0']['newest'])
        shown = self.host.get('/filters/null@1.0.0')
        self.assertEqual(shown['library'], filter_['library'])
        self.assertEqual(self.host.installed(),
                         ['null/1.0.0', 'null/1.0.0/docs'])

    def test_the_same_bundle_twice_is_as_good_as_once(self):
        bundle = self.bundle()
        self.assertEqual(self.install(bundle), self.install(bundle))

    def test_versions_stand_side_by_side_and_a_policy_chooses(self):
        for version in ('1.0.0', '1.10.0', '1.9.0', '2.0.0-rc.1'):
            self.install(self.bundle(version))
        listed = self.listed()
        self.assertEqual(list(listed), ['null@1.0.0', 'null@1.9.0',
                                        'null@1.10.0', 'null@2.0.0-rc.1'])
        self.assertEqual([item['newest'] for item in listed.values()],
                         [False, False, False, True])
        for filter_, version in (('null', '2.0.0-rc.1'),
                                 ('null@1.9.0', '1.9.0')):
            name = version.replace('.', '')
            self.make_policy(filter_, name)
            disk = self.host.make_disk('d' + name, policy=name)
            self.host.post(f'/disks/d{name}/open')
            self.assertIn(f'/null/{version}/', self.running_library(disk))
            self.assertEqual(self.listed()['null@' + version]['disks'],
                             ['d' + name])
        self.refuse_removal('null', 'bad-request', '1.0.0, 1.9.0')
        self.refuse_removal('null@3.0.0', 'no-such-filter', 'null@3.0.0')

    def test_a_filter_in_use_is_not_removed_and_says_by_whom(self):
        self.install(self.bundle())
        self.make_policy('null')
        self.host.make_disk(policy='p')
        self.host.post('/disks/d1/open')
        self.refuse_removal('null@1.0.0', 'filter-in-use', 'd1')
        # A newer one is there, but the disk has the one that it has.
        self.install(self.bundle('1.0.1'))
        self.refuse_removal('null@1.0.0', 'filter-in-use', 'd1')
        self.host.post('/disks/d1/close')
        status, answer = self.host.request('DELETE', '/filters/null@1.0.0')
        self.assertEqual(status, 200, answer)
        self.refuse_removal('null', 'filter-in-use', 'p')
        self.host.post('/policies/p/update', {'name': 'p', 'filters': []})
        status, answer = self.host.request('DELETE', '/filters/null')
        self.assertEqual(status, 200, answer)
        self.assertEqual((self.host.installed(), self.listed()), ([], {}))

    def test_what_is_installed_is_there_after_a_restart(self):
        self.install(self.bundle())
        before = self.listed()
        self.host.daemon.stop()
        self.host.start()
        self.assertEqual(self.listed(), before)


class Refusals(WithBundles):
    def test_what_is_no_bundle_is_damaged(self):
        for bundle in (b'', b'PK\3\4', self.bundle()[:-9]):
            self.refuse(bundle, 'damaged')

    def test_a_bundle_needs_the_signature_of_a_trusted_key(self):
        self.refuse(self.bundle(key=None), 'unsigned')
        problem = self.refuse(self.bundle(key=fbundle.Key()), 'untrusted-key')
        self.assertIn('forebay filter trust', problem['hint'])

    def test_a_bundle_that_was_changed_is_tampered(self):
        entries = fbundle.entries_of(fbundle.unpack(self.bundle()))
        changes = (
            [(entries[0][0], entries[0][1].replace(b'1.0.0', b'1.0.1')),
             *entries[1:]],
            [*entries[:2], ('null.so', entries[2][1] + b'x'), entries[3]],
            [entries[0], ('manifest.sig', b'forebay-signature-1'),
             *entries[2:]])
        for changed in changes:
            self.refuse(fbundle.pack(fbundle.archive_of(changed)), 'tampered')

    def test_what_a_bundle_must_not_hold_is_refused(self):
        entries = fbundle.entries_of(fbundle.unpack(self.bundle()))
        self.refuse(fbundle.pack(fbundle.archive_of(
            [*entries, ('more', b'')])), 'unexpected-file')
        link = fbundle.tarfile.TarInfo('null.so')
        link.type, link.linkname = fbundle.tarfile.SYMTYPE, '/etc/passwd'
        self.refuse(fbundle.pack(fbundle.archive_of(
            [*entries[:2], (link, b''), entries[3]])), 'unexpected-file')
        self.refuse(self.bundle() + b'x', 'unexpected-file')

    def test_a_bomb_is_too_large(self):
        self.refuse(fbundle.pack(bytes(66 << 20)), 'too-large')

    def test_a_manifest_that_is_wrong_is_refused(self):
        self.refuse(self.bundle(format=9), 'bad-manifest')
        self.refuse(self.bundle(library='../null.so'), 'bad-manifest')

    def test_a_filter_that_can_not_run_here_is_refused(self):
        self.refuse(self.bundle(architecture='vax'), 'wrong-architecture')
        self.refuse(self.bundle(abi_version=2), 'wrong-abi')
        self.refuse(self.bundle(needs=dict(NEEDS, devices=['/dev/x'])),
                    'unmet-need')
        self.refuse(self.bundle(needs=dict(NEEDS, memory_bytes=1 << 40)),
                    'unmet-need')

    def test_a_library_must_say_what_its_manifest_says(self):
        library = self.library()
        self.refuse(self.bundle(**{'class': 'cache'}), 'wrong-class')
        self.refuse(self.bundle(description='Else.'), 'description-mismatch')
        files = [('zero.so', library)]
        manifest = fbundle.manifest_of(files, **self.described(library))
        manifest.update(name='zero', library='zero.so')
        self.refuse(fbundle.make(manifest, files, self.key), 'name-mismatch')

    def test_a_library_is_loaded_for_a_try_where_it_can_hurt_nobody(self):
        for name, issue in (('bad-abi', 'wrong-abi'),
                            ('bad-class', 'wrong-class'),
                            ('bad-submit', 'bad-table'),
                            ('no-filter', 'missing-symbol'),
                            ('unlinked', 'missing-symbol'),
                            ('rude-crash', 'load-failed'),
                            ('rude-hang', 'load-failed'),
                            ('rude-socket', 'load-failed')):
            # A sanitizer has ends of its own, and takes no list of calls.
            if issue == 'load-failed' and is_sanitized():
                continue
            with open(os.path.join(BUILD, 'tests/filters', name + '.so'),
                      'rb') as file:
                files = [(name + '.so', file.read())]
            manifest = fbundle.manifest_of(files, name=name,
                                           library=name + '.so')
            if name == 'rude-socket' and b'__asan_init' in files[0][1]:
                continue
            with self.subTest(name):
                self.refuse(fbundle.make(manifest, files, self.key), issue)

    def test_another_filter_of_the_same_version_is_refused(self):
        self.install(self.bundle())
        self.refuse(self.bundle(needs=dict(NEEDS, memory_bytes=1)),
                    'version-exists')

    def test_an_upload_has_a_largest_size(self):
        status, problem = self.upload(bytes((66 << 20) + 1))
        self.assertEqual((status, problem['code']), (413, 'too-large'))


class Trust(WithBundles):
    def test_what_nobody_trusts_any_more_is_not_used(self):
        self.install(self.bundle())
        self.make_policy('null')
        self.host.make_disk(policy='p')
        status, _ = self.host.request('DELETE', '/trusted-keys/me')
        self.assertEqual(status, 200)
        self.assertEqual(self.listed()['null@1.0.0']['issue_code'],
                         'untrusted-key')
        status, problem = self.host.request('POST', '/disks/d1/open')
        self.assertEqual(problem['code'], 'broken-filter')
        self.trust(self.key)
        self.host.post('/disks/d1/open')

    def test_a_library_that_was_changed_on_disk_is_not_used(self):
        library = self.install(self.bundle())['library']
        with open(library, 'ab') as file:
            file.write(b'x')
        self.assertEqual(self.listed()['null@1.0.0']['issue_code'],
                         'tampered')

    def test_keys_are_listed_and_never_replaced(self):
        self.trust(self.key)
        status, problem = self.host.request(
            'POST', '/trusted-keys',
            {'name': 'me', 'key': fbundle.Key().public_text})
        self.assertEqual((status, problem['code']), (409, 'key-exists'))
        status, problem = self.host.request('DELETE', '/trusted-keys/you')
        self.assertEqual((status, problem['code']), (404, 'no-such-key'))
        status, problem = self.host.request(
            'POST', '/trusted-keys', {'name': 'x', 'key': 'y'})
        self.assertEqual((status, problem['pointer']), (400, '/key'))
        self.assertEqual(self.host.get('/trusted-keys')['items'], [
            {'name': 'me', 'key_id': self.key.key_id,
             'key': self.key.public_text}])


class Kills(WithBundles):
    def upload_quietly(self, bundle):
        try:
            self.upload(bundle)
        except OSError:
            pass
        except ValueError:
            pass

    def test_a_kill_leaves_it_installed_or_not(self):
        bundle = self.bundle()
        for number in range(12):
            self.host.request('DELETE', '/filters/null@1.0.0')
            self.assertEqual(self.host.installed(), [])
            thread = threading.Thread(target=self.upload_quietly,
                                      args=(bundle,))
            thread.start()
            time.sleep(number * 0.008)
            self.host.daemon.kill()
            thread.join()
            self.host.start()
            left = self.host.installed()
            self.assertIn(left, ([], ['null/1.0.0', 'null/1.0.0/docs'],
                                 ['null']))
            usable = [item['name'] for item in self.listed().values()
                      if item['issue'] is None]
            self.assertEqual(usable, ['null'] if '1.0.0' in str(left) else [])
        self.install(bundle)


if __name__ == '__main__':
    tap.main()
