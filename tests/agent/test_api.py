# SPDX-License-Identifier: Apache-2.0
"""What forebayd answers, and that bad input changes nothing."""

import glob
import json
import os
import subprocess
import threading
import unittest

import tap
from agent_host import BUILD, AgentHost
from spawn import folder


class WithHost(unittest.TestCase):
    NEIGHBOURS = True

    def setUp(self):
        self.host = AgentHost(self, self.NEIGHBOURS)

    def refuse(self, code, method, path, document=None, **parts):
        """The request fails with @code; each of @parts is in that member."""
        status, problem = self.host.request(method, path, document)
        self.assertEqual(problem.get('code'), code, problem)
        self.assertEqual(problem['status'], status)
        self.assertEqual(problem['type'], 'urn:forebay:problem:' + code)
        self.assertNotIn('\n', problem['detail'])
        for member, text in parts.items():
            self.assertIn(text, problem[member])
        return problem

    def make_pool(self, name='ssd'):
        path = os.path.join(self.host.root, name)
        os.mkdir(path)
        return self.host.post('/pools', {'name': name, 'paths': [path]})


class Http(WithHost):
    def test_a_path_that_is_not_there_is_told_so(self):
        self.refuse('no-such-route', 'GET', '/nothing')

    def test_bytes_that_are_no_text_are_answered_too(self):
        answer, text = self.host.raw('GET', '/v1/disks/%ff%0a')
        self.assertEqual(answer.status, 404)
        self.assertEqual(json.loads(text)['object'], 'disk ??')

    def test_a_wrong_method_is_answered_with_the_right_ones(self):
        answer, _ = self.host.raw('PUT', '/v1/pools', '{}')
        self.assertEqual(answer.status, 405)
        self.assertEqual(answer.headers['Allow'], 'GET, POST')

    def test_a_body_that_is_not_json_is_told_where(self):
        _, text = self.host.raw('POST', '/v1/disks', '{"name": "a",\n oops}')
        problem = json.loads(text)
        self.assertEqual(problem['code'], 'bad-json')
        self.assertIn('line 2', problem['detail'])

    def test_an_empty_body_is_refused(self):
        _, text = self.host.raw('POST', '/v1/disks')
        self.assertEqual(json.loads(text)['code'], 'bad-json')

    def test_a_body_over_its_limit_is_refused(self):
        _, text = self.host.raw('POST', '/v1/disks', ' ' * (256 << 10) + ' ')
        self.assertEqual(json.loads(text)['code'], 'too-large')
        _, text = self.host.raw('POST', '/v1/disks', ' ' * (256 << 10))
        self.assertEqual(json.loads(text)['code'], 'bad-json')

    def test_the_same_member_twice_is_refused(self):
        _, text = self.host.raw('POST', '/v1/disks',
                                '{"name": "a", "name": "b"}')
        self.assertEqual(json.loads(text)['code'], 'bad-json')

    def test_only_owner_and_group_may_connect(self):
        self.assertEqual(os.stat(self.host.socket).st_mode & 0o777, 0o660)

    def test_many_requests_at_once_are_all_answered(self):
        answers = []

        def ask():
            answers.append(self.host.get('/status')['state'])
        threads = [threading.Thread(target=ask) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, ['ok'] * 32)


class Daemon(unittest.TestCase):
    def run_forebayd(self, *words):
        return subprocess.run(
            [os.path.join(BUILD, 'src/agent/forebayd'), *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=30, check=False)

    def test_a_second_forebayd_on_a_root_says_so(self):
        host = AgentHost(self)
        done = self.run_forebayd('--root', host.root)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f'another forebayd (pid {host.daemon.pid})',
                      done.stderr)
        self.assertEqual(host.get('/status')['pid'], host.daemon.pid)

    def test_a_root_too_long_for_sockets_is_refused(self):
        path = os.path.join(folder(self), 'x' * 60)
        done = self.run_forebayd('--root', path)
        self.assertEqual(done.returncode, 1)
        self.assertIn('107 bytes', done.stderr)

    def test_a_root_that_can_not_be_made_is_refused(self):
        done = self.run_forebayd('--root', '/dev/null/x')
        self.assertEqual(done.returncode, 1)
        self.assertIn('/dev/null/x', done.stderr)

    def test_wrong_options_are_refused(self):
        for words in (['--log-level', 'loud'], ['--rot'], ['word']):
            self.assertEqual(self.run_forebayd(*words).returncode, 2)

    def test_users_and_groups_that_there_are_not_are_refused(self):
        root = ['--root', os.path.join(folder(self), 'h')]
        for words in (['--disk-user', 'shared'],
                      ['--socket-group', 'no-such-group']):
            done = self.run_forebayd(*root, *words)
            self.assertEqual(done.returncode, 1)
            self.assertIn(' '.join(words), done.stderr)

    def test_help_and_version_are_told(self):
        self.assertIn('--root DIR', self.run_forebayd('--help').stdout)
        self.assertIn('forebayd 0.', self.run_forebayd('--version').stdout)


class Pools(WithHost):
    def test_a_pool_is_made_and_given_to_the_cache_daemon(self):
        pool = self.make_pool()
        self.assertEqual(pool['state'], 'ready')
        self.assertGreater(pool['paths'][0]['free_bytes'], 0)
        with open(os.path.join(self.host.programs, 'pools.json'),
                  encoding='utf-8') as file:
            self.assertEqual(json.load(file), [
                {'name': 'ssd', 'paths': [self.host.root + '/ssd']}])
        self.assertEqual(self.host.get('/pools/ssd')['name'], 'ssd')
        self.assertEqual(len(self.host.get('/pools')['items']), 1)
        self.assertEqual(self.host.get('/status')['cached']['state'],
                         'running')

    def test_a_pool_that_the_cache_daemon_refuses_is_not_made(self):
        self.host.behave('forebay-cached', pools='refuse')
        path = self.host.root + '/ssd'
        os.mkdir(path)
        self.refuse('pool-refused', 'POST', '/pools',
                    {'name': 'ssd', 'paths': [path]}, object='pool ssd')
        self.assertEqual(self.host.get('/pools')['items'], [])
        self.host.behave('forebay-cached')
        self.host.post('/pools', {'name': 'ssd', 'paths': [path]})

    def test_a_directory_that_is_not_there_is_named(self):
        self.refuse('bad-path', 'POST', '/pools',
                    {'name': 'ssd', 'paths': ['/nowhere/ssd']},
                    detail='/nowhere/ssd does not exist')

    def test_a_relative_path_is_refused(self):
        self.refuse('bad-path', 'POST', '/pools',
                    {'name': 'ssd', 'paths': ['ssd']}, detail='absolute')

    def test_a_file_is_no_directory(self):
        path = self.host.root + '/file'
        with open(path, 'w', encoding='utf-8'):
            pass
        self.refuse('bad-path', 'POST', '/pools',
                    {'name': 'ssd', 'paths': [path]}, detail=path)

    def test_a_file_system_without_files_is_refused(self):
        problem = self.refuse('no-space', 'POST', '/pools',
                              {'name': 'ssd', 'paths': ['/proc/sys']},
                              detail='/proc/sys')
        self.assertTrue(problem['hint'])

    def test_a_directory_belongs_to_one_pool(self):
        self.make_pool()
        path = self.host.root + '/ssd'
        link = self.host.root + '/link'
        os.symlink(path, link)
        for again in (path, path + '/', link, path + '/../ssd'):
            self.refuse('path-in-use', 'POST', '/pools',
                        {'name': 'two', 'paths': [again]},
                        detail='belongs to pool ssd')
        self.assertEqual(len(self.host.get('/pools')['items']), 1)

    def test_a_directory_named_twice_is_refused(self):
        path = self.host.root + '/ssd'
        os.mkdir(path)
        self.refuse('path-in-use', 'POST', '/pools',
                    {'name': 'ssd', 'paths': [path, path]},
                    detail='twice')

    def test_a_name_is_used_once(self):
        self.make_pool()
        self.refuse('pool-exists', 'POST', '/pools',
                    {'name': 'ssd', 'paths': ['/tmp']}, object='pool ssd')

    def test_wrong_members_are_named(self):
        self.refuse('bad-request', 'POST', '/pools',
                    {'name': 'ssd', 'path': ['/tmp']}, detail='"path"')
        self.refuse('bad-request', 'POST', '/pools', {'name': 'ssd'},
                    detail='"paths"')
        self.refuse('bad-request', 'POST', '/pools',
                    {'name': 'ssd', 'paths': []}, detail='"paths"')
        self.refuse('bad-request', 'POST', '/pools',
                    {'name': 'ssd', 'paths': [1]}, detail='"paths"')
        self.refuse('bad-name', 'POST', '/pools',
                    {'name': 'SSD', 'paths': ['/tmp']}, detail='SSD')
        self.refuse('no-such-pool', 'GET', '/pools/none', detail='none')


class MountHost(AgentHost):
    """Sees a small and a read-only file system; nobody else does."""

    def wrapper(self):
        for name in ('small', 'ro'):
            os.makedirs(os.path.join(self.root, name), exist_ok=True)
        script = ('mount -t tmpfs -o size=1m small "$0/small" && '
                  'mount -t tmpfs -o ro ro "$0/ro" && exec "$@"')
        return ['unshare', '-m', 'sh', '-c', script, self.root]


@unittest.skipIf(subprocess.run(['unshare', '-m', 'true'], check=False,
                                stderr=subprocess.DEVNULL).returncode != 0,
                 'may not mount')
class FileSystems(WithHost):
    def setUp(self):
        self.host = MountHost(self)

    def test_a_pool_needs_space(self):
        problem = self.refuse(
            'no-space', 'POST', '/pools',
            {'name': 'ssd', 'paths': [self.host.root + '/small']},
            detail='at least 64MiB')
        self.assertEqual(problem['object'],
                         f'directory {self.host.root}/small')

    def test_a_pool_needs_to_be_writable(self):
        self.refuse('bad-path', 'POST', '/pools',
                    {'name': 'ssd', 'paths': [self.host.root + '/ro']},
                    detail='Read-only file system', hint='writable')

    def test_an_image_needs_to_be_writable(self):
        self.refuse('bad-backend', 'POST', '/disks',
                    {'name': 'd1', 'size_bytes': 512,
                     'backend': f'file:{self.host.root}/ro/d1.img'},
                    detail='Read-only file system')


class WithoutDataPlane(WithHost):
    NEIGHBOURS = False

    def test_a_pool_needs_the_cache_daemon(self):
        path = self.host.root + '/ssd'
        os.mkdir(path)
        self.refuse('data-plane-down', 'POST', '/pools',
                    {'name': 'ssd', 'paths': [path]},
                    detail='forebay-cached', object='pool ssd')
        self.assertEqual(self.host.get('/pools')['items'], [])
        self.assertEqual(self.host.get('/status')['state'], 'ok')

    def test_a_disk_needs_its_program(self):
        self.host.make_disk()
        self.refuse('open-failed', 'POST', '/disks/d1/open',
                    detail='forebay-disk can\'t be run')
        disk = self.host.disk()
        self.assertEqual((disk['state'], disk['desired']),
                         ('closed', 'closed'))


class Policies(WithHost):
    def setUp(self):
        super().setUp()
        self.host.install_filter('cache')
        self.host.install_filter('throttle')

    def test_properties_are_stored_in_base_units(self):
        policy = self.host.post('/policies', {
            'name': 'gold', 'filters': [
                {'filter': 'cache', 'properties': {'limit': '1GiB'}}]})
        self.assertEqual(policy, {
            'name': 'gold', 'version': 1, 'disks': [], 'filters': [
                {'filter': 'cache', 'properties': {'limit': 1 << 30}}]})
        self.assertEqual(self.host.get('/policies/gold'), policy)
        self.assertEqual(self.host.get('/policies')['items'], [policy])

    def test_filters_are_put_in_class_order(self):
        policy = self.host.post('/policies', {
            'name': 'gold',
            'filters': [{'filter': 'cache'}, {'filter': 'throttle'}]})
        self.assertEqual([entry['filter'] for entry in policy['filters']],
                         ['throttle', 'cache'])

    def test_a_policy_without_filters_is_fine(self):
        self.host.post('/policies', {'name': 'bare', 'filters': []})
        self.host.post('/policies', {'name': 'empty'})
        self.assertEqual(self.host.get('/policies/bare')['filters'], [])

    def test_a_policy_tells_the_disks_that_have_it(self):
        self.host.post('/policies', {'name': 'bare'})
        self.host.make_disk(policy='bare')
        self.assertEqual(self.host.get('/policies/bare')['disks'], ['d1'])

    def test_an_unknown_filter_is_named(self):
        for name in ('nothing', '../cache', ''):
            self.refuse('unknown-filter', 'POST', '/policies',
                        {'name': 'gold', 'filters': [{'filter': name}]},
                        detail=f'"{name}"')
        self.assertEqual(self.host.get('/policies')['items'], [])

    def test_an_unknown_property_is_named_with_the_known_ones(self):
        self.refuse('unknown-property', 'POST', '/policies',
                    {'name': 'gold', 'filters': [
                        {'filter': 'cache', 'properties': {'modus': 'x'}}]},
                    detail='modus', hint='mode, limit', object='filter cache')

    def test_a_wrong_value_is_refused(self):
        for properties in ({'mode': 'write-never'}, {'limit': '1KiB'},
                           {'limit': 'much'}):
            self.refuse('bad-property', 'POST', '/policies',
                        {'name': 'gold', 'filters': [
                            {'filter': 'cache', 'properties': properties}]})
        self.assertEqual(self.host.get('/policies')['items'], [])

    def test_two_filters_of_a_class_are_refused(self):
        self.host.install_filter('second-cache')
        self.refuse('bad-request', 'POST', '/policies',
                    {'name': 'gold', 'filters': [
                        {'filter': 'cache'}, {'filter': 'second-cache'}]},
                    detail='class cache')

    def test_only_an_inspection_can_be_bypassed(self):
        for word, why in (('bypass', 'filter throttle is of class qos'),
                          ('explode', 'must be fail or bypass')):
            self.refuse('bad-request', 'POST', '/policies',
                        {'name': 'gold', 'filters': [
                            {'filter': 'throttle', 'on_failure': word}]},
                        detail=why)
        policy = self.host.post('/policies', {
            'name': 'gold', 'filters': [
                {'filter': 'throttle', 'on_failure': 'fail'}]})
        self.assertEqual(policy['filters'], [
            {'filter': 'throttle', 'properties': {}}])

    def test_a_broken_filter_says_why(self):
        for name, why in (('crashing', 'signal 11'), ('refused', 'ABI 9'),
                          ('silent', 'does not say'),
                          ('renamed', 'calls itself "cache"')):
            self.host.install_filter(name)
            self.refuse('broken-filter', 'POST', '/policies',
                        {'name': 'gold', 'filters': [{'filter': name}]},
                        detail=why)

    def test_filters_are_listed_with_what_is_wrong_with_them(self):
        self.host.install_filter('refused')
        items = self.host.get('/filters')['items']
        self.assertEqual([item['name'] for item in items],
                         ['cache', 'refused', 'throttle'])
        self.assertIsNone(items[0]['issue'])
        self.assertEqual(items[0]['version'], '1.2.3')
        self.assertIn('ABI 9', items[1]['issue'])

    def test_a_name_is_used_once(self):
        self.host.post('/policies', {'name': 'gold'})
        self.refuse('policy-exists', 'POST', '/policies', {'name': 'gold'},
                    object='policy gold')
        self.refuse('no-such-policy', 'GET', '/policies/silver',
                    detail='silver')


class Disks(WithHost):
    def image(self, name, size):
        path = os.path.join(self.host.root, name)
        with open(path, 'wb') as file:
            file.truncate(size)
        return path

    def create(self, **more):
        document = {'name': 'd1'}
        document.update(more)
        return document

    def test_a_new_image_is_made_with_a_size(self):
        disk = self.host.make_disk()
        self.assertEqual(os.path.getsize(self.host.root + '/d1.img'), 1 << 20)
        self.assertEqual(disk['state'], 'closed')
        self.assertEqual(disk['mode']['requested'], 'none')
        self.assertEqual(disk['dirty_bytes'], 0)
        self.assertIsNone(disk['policy'])

    def test_an_image_is_adopted_without_a_size(self):
        path = self.image('old.img', 1 << 21)
        disk = self.host.post('/disks', self.create(backend='file:' + path))
        self.assertEqual(disk['size_bytes'], 1 << 21)

    def test_an_image_is_adopted_with_its_size(self):
        path = self.image('old.img', 1 << 21)
        self.host.post('/disks', self.create(backend='file:' + path,
                                             size_bytes=1 << 21))

    def test_an_image_of_another_size_is_refused(self):
        path = self.image('old.img', 1 << 21)
        self.refuse('size-mismatch', 'POST', '/disks',
                    self.create(backend='file:' + path, size_bytes=1 << 20),
                    detail=path)
        self.assertEqual(os.path.getsize(path), 1 << 21)

    def test_a_backend_that_is_not_there_needs_a_size(self):
        self.refuse('backend-missing', 'POST', '/disks',
                    self.create(backend=f'file:{self.host.root}/no.img'),
                    detail='/no.img does not exist', hint='size')
        self.assertFalse(os.path.exists(self.host.root + '/no.img'))

    def test_a_backend_in_no_directory_is_refused(self):
        self.refuse('bad-backend', 'POST', '/disks',
                    self.create(backend='file:/nowhere/d1.img',
                                size_bytes=512), detail='/nowhere/d1.img')

    def test_wrong_backends_are_refused(self):
        qcow2 = self.image('a.qcow2', 1 << 20)
        with open(qcow2, 'r+b') as file:
            file.write(b'QFI\xfb\x00\x00\x00\x03')
        for backend in ('file:d1.img', 'rbd:a/b', '/tmp/x', 'file:/tmp',
                        'file:/dev/null', 'file:' + qcow2):
            self.refuse('bad-backend', 'POST', '/disks',
                        self.create(backend=backend))
        self.assertEqual(self.host.get('/disks')['items'], [])

    def test_a_path_that_is_no_text_is_refused(self):
        path = os.fsencode(self.host.root) + b'/\xff.img'
        with open(path, 'wb') as file:
            file.truncate(512)
        link = self.host.root + '/link'
        os.symlink(path, link)
        self.refuse('bad-backend', 'POST', '/disks',
                    self.create(backend='file:' + link), detail=link)

    def test_an_odd_image_is_refused(self):
        for size in (0, 1000):
            path = self.image(f'{size}.img', size)
            self.refuse('bad-size', 'POST', '/disks',
                        self.create(backend='file:' + path), detail=path)

    def test_a_size_that_is_no_multiple_of_512_makes_nothing(self):
        path = self.host.root + '/d1.img'
        for size in (1000, -512, 0, '1GiB', 1.5):
            self.refuse('bad-size', 'POST', '/disks',
                        self.create(backend='file:' + path, size_bytes=size),
                        detail='512')
        self.assertFalse(os.path.exists(path))

    def test_a_name_is_used_once(self):
        self.host.make_disk()
        self.refuse('disk-exists', 'POST', '/disks',
                    self.create(backend=f'file:{self.host.root}/b.img',
                                size_bytes=512), object='disk d1')
        self.assertFalse(os.path.exists(self.host.root + '/b.img'))

    def test_a_backend_belongs_to_one_disk(self):
        self.host.make_disk()
        os.symlink('d1.img', self.host.root + '/link')
        for path in ('d1.img', 'link', './d1.img'):
            self.refuse('backend-in-use', 'POST', '/disks',
                        {'name': 'd2',
                         'backend': f'file:{self.host.root}/{path}'},
                        detail='belongs to disk d1')

    def test_an_unknown_policy_makes_no_image(self):
        self.refuse('unknown-policy', 'POST', '/disks',
                    self.create(backend=f'file:{self.host.root}/d1.img',
                                size_bytes=512, policy='gold'),
                    detail='gold')
        self.assertFalse(os.path.exists(self.host.root + '/d1.img'))

    def test_bad_names_are_refused(self):
        for name in ('', 'A', 'a b', '../a', 'a' * 64, '-a', 'a/b',
                     '01234567-89ab-cdef-0123-456789abcdef'):
            self.refuse('bad-name', 'POST', '/disks',
                        {'name': name, 'backend': 'file:/tmp/x'})

    def config_of(self, disk):
        path, = glob.glob(f'{self.host.root}/**/disks/{disk["id"]}.json',
                          recursive=True)
        with open(path, encoding='utf-8') as file:
            return json.load(file)

    def test_a_disk_keeps_the_device_it_was_created_with(self):
        disk = self.host.make_disk()
        self.assertEqual((disk['device_revision'], disk['queues']), (2, 16))
        path = self.image('old.img', 1 << 20)
        disk = self.host.post('/disks', {
            'name': 'd2', 'backend': 'file:' + path, 'read_only': True,
            'device_revision': 1, 'queues': 4})
        self.assertTrue(disk['read_only'])
        self.host.post('/disks/d2/open')
        disk = self.host.disk('d2')
        self.assertEqual((disk['device_revision'], disk['queues']), (1, 4))
        config = self.config_of(disk)
        self.assertTrue(config['read_only'])
        device = config['exports']['vhost_user_blk']
        self.assertEqual((device['device_revision'], device['queues']), (1, 4))

    def test_a_device_that_is_not_known_is_refused(self):
        for member, value in (('device_revision', 3), ('device_revision', 0),
                              ('device_revision', '2'), ('queues', 65),
                              ('queues', 0), ('read_only', 1)):
            self.refuse('bad-request', 'POST', '/disks',
                        self.create(backend='file:/tmp/x', **{member: value}),
                        detail=member)

    def test_a_read_only_disk_needs_an_image(self):
        self.refuse('backend-missing', 'POST', '/disks',
                    self.create(backend=f'file:{self.host.root}/no.img',
                                size_bytes=512, read_only=True),
                    hint='read-only')
        self.assertFalse(os.path.exists(self.host.root + '/no.img'))

    def test_unknown_members_and_exports_are_refused(self):
        self.refuse('bad-request', 'POST', '/disks',
                    self.create(backend='file:/tmp/x', size=1),
                    detail='"size"')
        self.refuse('bad-request', 'POST', '/disks',
                    self.create(backend='file:/tmp/x', exports=['scsi']),
                    detail='vhost-user-blk')

    def test_of_many_that_take_one_name_one_wins(self):
        codes = []

        def ask(number):
            status, _ = self.host.request('POST', '/disks', {
                'name': 'd1', 'size_bytes': 512,
                'backend': f'file:{self.host.root}/{number}.img'})
            codes.append(status)
        threads = [threading.Thread(target=ask, args=(number,))
                   for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(codes), [201] + [409] * 7)
        images = [name for name in os.listdir(self.host.root)
                  if '.img' in name]
        self.assertEqual(len(images), 1, images)

    def test_a_disk_is_found_by_name_and_by_id(self):
        disk = self.host.make_disk()
        for reference in (disk['id'], disk['id'].upper(), 'd1'):
            self.assertEqual(self.host.disk(reference)['name'], 'd1')
        self.refuse('no-such-disk', 'GET', '/disks/d2', object='disk d2')

    def test_disks_are_listed_in_order_of_names(self):
        for name in ('b', 'c', 'a'):
            self.host.make_disk(name)
        self.assertEqual([item['name'] for item in
                          self.host.get('/disks')['items']], ['a', 'b', 'c'])

    def test_only_the_exports_asked_for_are_there(self):
        disk = self.host.make_disk(exports=['nbd'])
        self.assertEqual(list(disk['exports']), ['nbd'])
        nbd = disk['exports']['nbd']
        self.assertEqual(nbd['uri'],
                         f'nbd+unix:///d1?socket={nbd["socket"]}')
        self.refuse('no-such-export', 'GET',
                    '/disks/d1/xml?export=vhost-user-blk')

    def test_the_xml_is_a_vhost_user_disk(self):
        disk = self.host.make_disk()
        status, xml = self.host.request('GET', '/disks/d1/xml')
        self.assertEqual(status, 200)
        self.assertIn("<disk type='vhostuser'", xml)
        self.assertIn(disk['exports']['vhost-user-blk']['socket'], xml)
        _, xml = self.host.request('GET', '/disks/d1/xml?export=nbd')
        self.assertIn("protocol='nbd' name='d1'", xml)

    def test_the_xml_of_a_read_only_disk_says_so_where_it_can(self):
        path = self.image('old.img', 1 << 20)
        self.host.post('/disks', self.create(backend='file:' + path,
                                             read_only=True))
        _, xml = self.host.request('GET', '/disks/d1/xml?export=nbd')
        self.assertIn('<readonly/>', xml)
        _, xml = self.host.request('GET', '/disks/d1/xml')
        self.assertNotIn('<readonly/>', xml)

    def test_a_deleted_disk_leaves_its_backend(self):
        disk = self.host.make_disk()
        status, answer = self.host.request('DELETE', '/disks/d1')
        self.assertEqual((status, answer['backend_deleted']), (200, False))
        self.assertTrue(os.path.exists(self.host.root + '/d1.img'))
        self.refuse('no-such-disk', 'GET', '/disks/' + disk['id'])
        self.host.make_disk()

    def test_a_backend_is_deleted_when_asked_for(self):
        self.host.make_disk()
        self.host.request('DELETE', '/disks/d1?delete_backend=true')
        self.assertFalse(os.path.exists(self.host.root + '/d1.img'))
        self.refuse('no-such-disk', 'DELETE', '/disks/d1')

    def test_a_flag_is_true_or_false(self):
        self.host.make_disk()
        self.refuse('bad-request', 'DELETE',
                    '/disks/d1?delete_backend=maybe',
                    detail='delete_backend')
        self.assertEqual(self.host.disk()['state'], 'closed')

    def test_what_needs_an_open_disk_says_so(self):
        self.host.make_disk()
        self.refuse('disk-not-open', 'POST', '/disks/d1/flush',
                    object='disk d1', hint='open it')
        self.refuse('disk-not-open', 'GET', '/disks/d1/stats')
        self.refuse('disk-not-open', 'GET', '/disks/d1/advice')
        self.refuse('no-such-disk', 'GET', '/disks/d9/advice')


if __name__ == '__main__':
    tap.main()
