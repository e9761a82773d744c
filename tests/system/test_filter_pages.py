# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/filters: what they promise is what is installed."""

import glob
import os
import re
import unittest

import tap
from forebay import TOP, Host

PAGES = os.path.join(TOP, 'docs', 'filters')
POLICY = re.compile(r'^```yaml\n(name: .*?)^```', re.M | re.S)
ROW = re.compile(r'^\| `([a-z_]+)` \|', re.M)


def page(name):
    with open(os.path.join(PAGES, name + '.md'), encoding='utf-8') as file:
        return file.read()


class Pages(unittest.TestCase):

    def setUp(self):
        self.names = sorted(os.path.basename(path)[:-len('.md')]
                            for path in glob.glob(PAGES + '/*.md'))
        self.assertTrue(self.names)
        self.host = Host.with_pool(self)

    def test_a_page_lists_the_properties_that_the_filter_has(self):
        installed = {entry['name']: entry
                     for entry in self.host.json('filter', 'list')['items']}
        for name in self.names:
            section = page(name).split('## Properties')[1].split('\n## ')[0]
            self.assertEqual(
                ROW.findall(section),
                [known['name'] for known in installed[name]['properties']],
                name)

    def test_a_page_s_policies_work_as_they_stand(self):
        for name in self.names:
            policies = POLICY.findall(page(name))
            self.assertTrue(policies, name)
            for number, text in enumerate(policies):
                self.serve(f'{name}{number}', text)

    def serve(self, disk, text):
        path = os.path.join(self.host.root, disk + '.yaml')
        # A page's folders are this host's.
        text = text.replace('/var/lib/forebay', self.host.root)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        policy = re.match(r'name: (\S+)', text)[1]
        self.host.cli('policy', 'create', '-f', path)
        self.host.cli('disk', 'create', disk, '--backend',
                      f'{self.host.root}/{disk}.raw', '--size', '64MiB',
                      '--policy', policy)
        self.host.cli('disk', 'open', disk)
        report = self.host.json(
            'bench', disk, '--count', 500, '--read', 50, '--flush', 5,
            '--depth', 8, '--verify', '--destroy-data')
        self.assertEqual((report['errors'],
                          report['verify']['wrong_sectors']), (0, 0), disk)
        self.host.cli('disk', 'close', disk)


if __name__ == '__main__':
    tap.main()
