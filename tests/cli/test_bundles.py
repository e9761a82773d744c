# SPDX-License-Identifier: Apache-2.0
"""From nothing to a signed bundle, as an author goes, outside the tree and
with the installed files alone."""

import os
import shutil
import subprocess
import unittest

import fbundle
import spawn
import tap
from forebay import PREFIX

FOREBAY = os.path.join(PREFIX, 'bin/forebay')
SECONDS = 300


class Author(unittest.TestCase):
    def setUp(self):
        self.folder = spawn.folder(self)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def run_program(self, *words, expect=0):
        environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(
            PREFIX, 'lib/pkgconfig'))
        # What the build of Forebay says to its tests is not an author's.
        for name in ('MAKEFLAGS', 'LD_LIBRARY_PATH'):
            environment.pop(name, None)
        done = subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True,
            text=True, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False)
        self.assertEqual(done.returncode, expect,
                         done.stdout + done.stderr)
        return done.stdout if expect == 0 else done.stderr

    def forebay(self, *words, expect=0):
        return self.run_program(FOREBAY, 'filter', *words, expect=expect)

    def refuse(self, code, *words):
        message = self.forebay(*words, expect=2)
        self.assertIn(f': {code}: ', message)
        self.assertEqual(message.count('\n'), 1)
        return message

    def make_bundle(self, name='audit'):
        self.forebay('new', name)
        self.run_program('make', '-C', name, f'{name}.so')
        self.forebay('build', name)
        return self.path(f'{name}-0.1.0.fbundle')


class Skeleton(Author):
    def test_a_new_filter_builds_and_tests_with_make(self):
        self.forebay('new', 'my-audit')
        self.assertIn('my-audit: ok',
                      self.run_program('make', '-C', 'my-audit', 'check'))
        self.run_program('make', '-C', 'my-audit', 'bundle')
        self.run_program('make', '-C', 'my-audit', 'clean')
        self.assertEqual(sorted(os.listdir(self.path('my-audit'))), [
            'Makefile', 'README.md', 'manifest.json', 'meson.build',
            'my-audit.c', 'test_my-audit.c'])

    def test_a_new_filter_builds_and_tests_with_meson(self):
        self.forebay('new', 'audit', '--into', 'work')
        self.run_program('meson', 'setup', 'work/build', 'work')
        self.run_program('meson', 'compile', '-C', 'work/build')
        self.run_program('meson', 'test', '-C', 'work/build')
        self.forebay('build', 'work')
        self.assertTrue(os.path.exists(self.path('audit-0.1.0.fbundle')))

    def test_a_folder_that_is_there_stays_as_it_is(self):
        os.mkdir(self.path('audit'))
        self.assertIn('exists', self.forebay('new', 'audit', expect=4))
        self.assertEqual(os.listdir(self.path('audit')), [])

    def test_a_name_that_no_filter_has_is_refused(self):
        for name in ('Audit', '../x', '9', 'a' * 32):
            self.forebay('new', name, expect=2)
        self.assertEqual(os.listdir(self.folder), [])


class Build(Author):
    def test_a_bundle_says_what_its_library_says(self):
        path = self.make_bundle()
        with open(self.path('audit/LICENSE'), 'w', encoding='utf-8') as file:
            file.write('Free.\n')
        os.mkdir(self.path('audit/docs'))
        with open(self.path('audit/docs/use.md'), 'w',
                  encoding='utf-8') as file:
            file.write('# Use\n')
        self.forebay('build', 'audit')
        entries = fbundle.read(path)
        self.assertEqual([name for name, _ in entries],
                         ['manifest.json', 'audit.so', 'README.md', 'LICENSE',
                          'docs/use.md'])
        manifest = fbundle.json.loads(entries[0][1])
        expected = fbundle.manifest_of(entries[1:])
        self.assertEqual(set(manifest), set(expected))
        self.assertEqual(manifest['files'], expected['files'])
        self.assertEqual(
            {key: manifest[key] for key in ('name', 'version', 'class',
                                            'abi_version', 'library')},
            {'name': 'audit', 'version': '0.1.0', 'class': 'inspection',
             'abi_version': 1, 'library': 'audit.so'})
        self.assertEqual(manifest['needs']['memory_bytes'], 65536)
        self.assertEqual(manifest['needs']['files'], [])

    def test_the_same_folder_gives_the_same_bytes(self):
        path = self.make_bundle()
        with open(path, 'rb') as file:
            first = file.read()
        self.forebay('build', 'audit', '--into', 'again.fbundle')
        with open(self.path('again.fbundle'), 'rb') as file:
            self.assertEqual(file.read(), first)

    def test_a_folder_without_a_filter_is_told_what_is_missing(self):
        self.assertIn('manifest.json', self.forebay('build', 'x', expect=3))
        self.forebay('new', 'audit')
        self.assertIn('compile the filter first',
                      self.forebay('build', 'audit', expect=3))

    def test_a_library_that_can_not_be_used_is_refused(self):
        self.make_bundle()
        with open(self.path('audit/audit.so'), 'wb') as file:
            file.write(b'not ELF')
        self.refuse('not-loadable', 'build', 'audit')
        self.run_program('cc', '-shared', '-fPIC', '-o', 'audit/audit.so',
                         '-x', 'c', '/dev/null')
        self.refuse('missing-symbol', 'build', 'audit')

    def test_a_library_of_another_name_is_refused(self):
        self.make_bundle()
        with open(self.path('audit/manifest.json'), 'w',
                  encoding='utf-8') as file:
            file.write('{"name": "other"}')
        shutil.copy(self.path('audit/audit.so'), self.path('audit/other.so'))
        self.refuse('bad-manifest', 'build', 'audit')

    def test_what_a_bundle_may_not_hold_is_refused(self):
        self.make_bundle()
        os.mkdir(self.path('audit/docs'))
        with open(self.path('audit/docs/a b'), 'w', encoding='utf-8'):
            pass
        self.refuse('unexpected-file', 'build', 'audit')


class Keys(Author):
    def setUp(self):
        super().setUp()
        self.bundle = self.make_bundle()
        self.forebay('keygen', 'me')

    def test_a_secret_key_is_its_owners_alone_and_is_never_replaced(self):
        self.assertEqual(os.stat(self.path('me.key')).st_mode & 0o777, 0o600)
        with open(self.path('me.key'), encoding='utf-8') as file:
            before = file.read()
        self.forebay('keygen', 'me', expect=4)
        with open(self.path('me.key'), encoding='utf-8') as file:
            self.assertEqual(file.read(), before)

    def test_a_signed_bundle_verifies_here_and_elsewhere(self):
        self.forebay('sign', self.bundle, '--key', 'me.key')
        self.forebay('verify', self.bundle, '--key', 'me.pub')
        with open(self.path('me.key'), encoding='utf-8') as file:
            key = fbundle.Key.from_text(file.read())
        entries = dict(fbundle.read(self.bundle))
        self.assertTrue(key.verifies(entries['manifest.sig'],
                                     entries['manifest.json']))
        # Twice is as good as once.
        self.forebay('sign', self.bundle, '--key', 'me.key')
        self.forebay('verify', self.bundle, '--key', 'me.pub')

    def test_a_bundle_that_is_not_as_it_was_signed_is_refused(self):
        self.refuse('unsigned', 'verify', self.bundle, '--key', 'me.pub')
        self.forebay('keygen', 'you')
        self.forebay('sign', self.bundle, '--key', 'you.key')
        self.refuse('untrusted-key', 'verify', self.bundle, '--key', 'me.pub')
        entries = fbundle.read(self.bundle)
        manifest = entries[0][1].replace(b'"0.1.0"', b'"0.1.1"')
        with open(self.bundle, 'wb') as file:
            file.write(fbundle.pack(fbundle.archive_of(
                [('manifest.json', manifest), *entries[1:]])))
        self.refuse('tampered', 'verify', self.bundle, '--key', 'you.pub')
        with open(self.bundle, 'wb') as file:
            file.write(fbundle.pack(fbundle.archive_of(
                [*entries[:2], ('audit.so', entries[2][1] + b'x'),
                 *entries[3:]])))
        self.refuse('tampered', 'verify', self.bundle, '--key', 'you.pub')
        with open(self.bundle, 'wb') as file:
            file.write(b'PK\3\4')
        self.refuse('damaged', 'verify', self.bundle, '--key', 'you.pub')

    def test_the_wrong_half_of_a_key_is_told(self):
        self.assertIn('not a secret key', self.forebay(
            'sign', self.bundle, '--key', 'me.pub', expect=2))
        self.assertIn('not a public key', self.forebay(
            'verify', self.bundle, '--key', 'me.key', expect=2))


class OnAHost(Author):
    """The bundle goes to a host, to a disk, and away again."""

    def setUp(self):
        super().setUp()
        self.root = self.path('h')
        self.daemon = spawn.Process(
            [os.path.join(PREFIX, 'bin/forebayd'), '--root', self.root],
            self.path('forebayd.out'))
        self.addCleanup(self.daemon.stop)
        self.daemon.wait_for_file(os.path.join(self.root,
                                               'run/forebayd.sock'))

    def host(self, *words, expect=0):
        return self.run_program(FOREBAY, '--root', self.root, *words,
                                expect=expect)

    def test_a_signed_bundle_runs_on_a_disk_and_goes_again(self):
        bundle = self.make_bundle()
        self.forebay('keygen', 'me')
        self.forebay('sign', bundle, '--key', 'me.key')
        self.assertIn('untrusted-key',
                      self.host('filter', 'install', bundle, expect=2))
        self.host('filter', 'trust', 'me.key', expect=2)
        self.host('filter', 'trust', 'me.pub')
        self.assertIn('me', self.host('filter', 'keys'))
        installed = self.host('filter', 'install', bundle)
        self.assertIn('audit@0.1.0: installed', installed)
        self.assertIn('needs memory: 65536 bytes', installed)
        with open(self.path('p.yaml'), 'w', encoding='utf-8') as file:
            file.write('name: p\nfilters:\n  - filter: audit@0.1.0\n')
        self.host('policy', 'create', '-f', 'p.yaml')
        self.host('disk', 'create', 'd1', '--backend', self.path('d1.raw'),
                  '--size', '16MiB', '--policy', 'p')
        self.host('disk', 'open', 'd1')
        stats = fbundle.json.loads(self.host('disk', 'stats', 'd1', '-o',
                                             'json'))
        self.assertIn('audit', str(stats['filters']))
        self.assertRegex(self.host('filter', 'list'),
                         r'audit +ready +0\.1\.0 +inspection +me +1 ')
        self.assertIn('d1', self.host('filter', 'uninstall', 'audit',
                                      expect=4))
        self.host('disk', 'close', 'd1')
        self.host('disk', 'delete', 'd1')
        with open(self.path('p.yaml'), 'w', encoding='utf-8') as file:
            file.write('name: p\nfilters: []\n')
        self.host('policy', 'update', '-f', 'p.yaml')
        self.host('filter', 'uninstall', 'audit')
        self.assertNotIn('audit', self.host('filter', 'list'))
        self.host('filter', 'untrust', 'me')
        self.host('filter', 'issues')


if __name__ == '__main__':
    tap.main()
