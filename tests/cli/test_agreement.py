# SPDX-License-Identifier: Apache-2.0
"""Grammar, help, man pages and bash completion say the same."""

import glob
import json
import os
import re
import shutil
import subprocess
import unittest

import spawn
import tap
from forebay import BUILD, TOP

FOREBAY = os.path.join(BUILD, 'src/cli/forebay')
COMPLETION = os.path.join(TOP, 'packaging/bash-completion/forebay')
GRAMMAR = json.loads(subprocess.run(
    [os.path.join(BUILD, 'tests/cli/print_grammar')], check=True,
    capture_output=True, timeout=30).stdout)
VERBS = GRAMMAR['verbs']
# How the examples of verbs end that ask no forebayd: most find no file.
WITHOUT_FOREBAYD = {'disk rescue': 3, 'filter build': 3, 'filter keygen': 0,
                    'filter install': 3, 'filter new': 0, 'filter sign': 3,
                    'filter verify': 3}
NOUNS = sorted({verb['noun'] for verb in VERBS})


def plain(name):
    """A man page's source without its marks for bold and underlined."""
    path = os.path.join(TOP, 'man', name + '.1.scd')
    with open(path, encoding='utf-8') as file:
        text = file.read()
    text = re.sub(r'[*`]|(?<!\w)_|_(?!\w)|\+\+$', '', text, flags=re.M)
    return re.sub(r'[ \t\n]+', ' ', text)


def page_of(noun):
    return 'forebay' if noun == 'status' else f'forebay-{noun}'


def command(verb):
    return ' '.join(filter(None, (verb['noun'], verb['verb'])))


def help_of(*words):
    return subprocess.run([FOREBAY, *words, '--help'], check=True, timeout=30,
                          capture_output=True, text=True).stdout


class ManPages(unittest.TestCase):
    def test_every_verb_stands_in_its_nouns_page_as_help_says_it(self):
        for verb in VERBS:
            page = plain(page_of(verb['noun']))
            with self.subTest(command(verb)):
                self.assertIn(verb['synopsis'], page)
                self.assertIn(verb['summary'], page)

    def test_every_flag_is_explained_in_the_page(self):
        for verb in VERBS:
            page = plain(page_of(verb['noun']))
            for flag in verb['flags']:
                with self.subTest(command(verb), flag=flag):
                    self.assertRegex(page, rf'--{flag}\b')
        for flag in GRAMMAR['global_flags']:
            self.assertRegex(plain('forebay'), rf'--{flag}\b')

    def test_pages_name_no_verb_and_no_flag_that_does_not_exist(self):
        commands = {command(verb) for verb in VERBS}
        with_verbs = {verb['noun'] for verb in VERBS if verb['verb']}
        flags = {flag for verb in VERBS for flag in verb['flags']}
        flags |= set(GRAMMAR['global_flags']) | {'flags'}
        for path in glob.glob(os.path.join(TOP, 'man/forebay*.1.scd')):
            page = plain(os.path.basename(path)[:-len('.1.scd')])
            for noun, verb in re.findall(
                    rf'forebay ({"|".join(with_verbs)}) ([a-z]+)', page):
                self.assertIn(f'{noun} {verb}', commands, path)
            # A program of its own.
            if path.endswith('/forebay-trace.1.scd'):
                continue
            for flag in re.findall(r'--([a-z-]+)', page):
                self.assertIn(flag, flags, path)

    def test_every_exit_status_is_explained(self):
        page = plain('forebay')
        section = page[page.index('# EXIT STATUS'):page.index(
            '# ENVIRONMENT')]
        self.assertEqual(
            [int(code) for code in re.findall(r'[\[|] *(\d) :', section)],
            list(range(GRAMMAR['last_exit_code'] + 1)))

    def test_scdoc_takes_every_page(self):
        if not shutil.which('scdoc'):
            self.skipTest('scdoc is missing')
        for path in glob.glob(os.path.join(TOP, 'man/*.scd')):
            with open(path, 'rb') as page:
                done = subprocess.run(['scdoc'], stdin=page, timeout=30,
                                      capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, b''), path)


class Help(unittest.TestCase):
    def test_the_overview_lists_every_verb(self):
        overview = help_of()
        for verb in VERBS:
            self.assertRegex(
                overview,
                rf'(?m)^  {command(verb)} +{re.escape(verb["summary"])}$')

    def test_a_verbs_help_has_its_synopsis_and_flags(self):
        for verb in VERBS:
            text = help_of(*command(verb).split())
            with self.subTest(command(verb)):
                self.assertIn(f'  {verb["synopsis"]}\n', text)
                for flag in verb['flags'] + GRAMMAR['global_flags']:
                    self.assertRegex(text, rf'(?m)^ .*--{flag}\b')

    def test_help_fits_a_terminal(self):
        texts = [help_of(), *(help_of(noun) for noun in NOUNS),
                 *(help_of(*command(verb).split()) for verb in VERBS)]
        for text in texts:
            for line in text.splitlines():
                if not line.startswith('  forebay'):
                    self.assertLessEqual(len(line), 80, line)

    def test_every_example_parses(self):
        socket = spawn.folder(self)
        for verb in VERBS:
            text = help_of(*command(verb).split())
            for line in text[text.index('Examples:'):].splitlines()[1:]:
                words = line.split()
                words = words[words.index('forebay') + 1:]
                if '-f' in words:
                    continue
                if '--root' not in words:
                    words = ['--root', socket, *words]
                done = subprocess.run([FOREBAY, *words], timeout=30,
                                      cwd=socket, capture_output=True,
                                      text=True)
                code = WITHOUT_FOREBAYD.get(command(verb), 5)
                with self.subTest(line):
                    self.assertEqual(done.returncode, code, done.stderr)


class Completion(unittest.TestCase):
    def complete(self, *words):
        """What bash offers for the last of @words."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); '
                  'COMP_CWORD=$(($# - 1)); forebay() { return 1; }; _forebay; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(
            ['bash', '-c', script, 'bash', COMPLETION, 'forebay', *words],
            check=True, capture_output=True, text=True, timeout=30)
        self.assertEqual(done.stderr, '')
        return sorted(done.stdout.split())

    def test_bash_takes_the_file(self):
        subprocess.run(['bash', '-n', COMPLETION], check=True, timeout=30)

    def test_nouns_and_verbs_are_offered(self):
        self.assertEqual(self.complete(''), sorted(NOUNS + ['help']))
        for noun in NOUNS:
            verbs = [verb['verb'] for verb in VERBS
                     if verb['noun'] == noun and verb['verb']]
            self.assertEqual(self.complete(noun, ''), sorted(verbs))
        self.assertEqual(self.complete('--root', '/x', 'po'),
                         ['policy', 'pool'])

    def test_the_verbs_flags_are_offered(self):
        for verb in VERBS:
            flags = verb['flags'] + GRAMMAR['global_flags']
            with self.subTest(command(verb)):
                self.assertEqual(
                    self.complete(*command(verb).split(), '--'),
                    sorted('--' + flag for flag in flags))

    def test_values_of_flags_are_offered(self):
        self.assertEqual(self.complete('status', '-o', ''),
                         ['json', 'table', 'yaml'])
        self.assertEqual(self.complete('disk', 'create', '--export', 'n'),
                         ['nbd'])
        self.assertEqual(self.complete('disk', 'create', '--size', ''), [])

    def test_actions_and_files_of_a_rescue_are_offered(self):
        folder = spawn.folder(self)
        path = os.path.join(folder, 'a.cache')
        with open(path, 'wb'):
            pass
        self.assertEqual(self.complete('disk', 'rescue', ''),
                         ['check', 'extract', 'list'])
        self.assertEqual(self.complete('disk', 'rescue', 'list', folder + '/'),
                         [path])
        self.assertEqual(
            self.complete('disk', 'rescue', 'extract', path, '--to',
                          folder + '/'), [path])


if __name__ == '__main__':
    tap.main()
