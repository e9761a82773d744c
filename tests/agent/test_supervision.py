# SPDX-License-Identifier: Apache-2.0
"""How forebayd keeps disks as they are wanted, whatever their processes do."""

import http.client
import json
import os
import shutil
import signal
import threading
import unittest
import uuid

import tap
from agent_host import AgentHost, took
from spawn import wait_until

DISK = 'forebay-disk'
CACHED = 'forebay-cached'


class WithDisk(unittest.TestCase):
    def setUp(self):
        self.host = AgentHost(self)
        self.host.install_filter('cache')
        self.host.post('/policies', {'name': 'gold', 'filters': [
            {'filter': 'cache', 'properties': {'limit': '1GiB'}}]})
        os.mkdir(self.host.root + '/ssd')
        self.host.post('/pools', {'name': 'ssd',
                                  'paths': [self.host.root + '/ssd']})
        self.host.make_disk(policy='gold')

    def open(self):
        return self.host.post('/disks/d1/open')

    def problem(self, method, path):
        status, problem = self.host.request(method, path)
        self.assertGreaterEqual(status, 400, problem)
        return problem

    def kill_forebayd(self):
        """kill -9, as an accident would."""
        self.host.daemon.kill()


class OpenAndClose(WithDisk):
    def test_an_opened_disk_runs_with_its_configuration(self):
        disk = self.open()
        self.assertEqual((disk['state'], disk['desired']), ('open', 'open'))
        self.assertTrue(self.host.runs(disk['pid']))
        with open(f'{self.host.root}/lib/disks/{disk["id"]}.json',
                  encoding='utf-8') as file:
            config = json.load(file)
        folder = f'{self.host.root}/run/disks/{disk["id"]}'
        user = config.pop('user', None)
        self.assertEqual(user is not None, os.geteuid() == 0)
        self.assertEqual(config, {
            'uuid': disk['id'], 'name': 'd1', 'size_bytes': 1 << 20,
            'backend': f'file:{self.host.root}/d1.img', 'read_only': False,
            'filters': [{
                'name': 'cache', 'library': self.host.filters + '/cache.so',
                'properties': {'limit': 1 << 30},
                'daemon_socket': self.host.root + '/run/cached.sock'}],
            'exports': {
                'vhost_user_blk': {'socket': folder + '/vhost-user-blk.sock',
                                   'queues': 16, 'device_revision': 2},
                'nbd': {'socket': folder + '/nbd.sock', 'name': 'd1'}},
            'control_socket': folder + '/control.sock',
            'events': folder + '/events',
            'host': {'id': self.host_id(), 'name': os.uname().nodename}})

    def host_id(self):
        """Drawn once, for good."""
        with open(self.host.root + '/lib/host-id', encoding='utf-8') as file:
            return str(uuid.UUID(file.read()))

    def test_a_process_has_a_user_and_a_folder_of_its_own(self):
        if os.geteuid() != 0:
            self.skipTest('other users need root')
        users = set()
        self.host.make_disk('d2')
        for name in ('d1', 'd2'):
            disk = self.host.post(f'/disks/{name}/open')
            with open(f'{self.host.root}/lib/disks/{disk["id"]}.json',
                      encoding='utf-8') as file:
                user = json.load(file)['user']
            self.assertEqual(user['uid'], user['gid'])
            self.assertTrue(0x70000000 <= user['uid'] < 0x7ffe0000)
            facts = os.stat(f'{self.host.root}/run/disks/{disk["id"]}')
            # It may make and remove its own files there, and no others.
            self.assertEqual((facts.st_uid, facts.st_gid), (0, user['gid']))
            self.assertEqual(facts.st_mode & 0o7777, 0o1771)
            users.add(user['uid'])
        self.assertEqual(len(users), 2)

    def test_the_mode_and_dirty_bytes_are_what_the_process_says(self):
        self.host.behave(DISK, dirty=4096)
        self.assertEqual(self.host.disk()['mode'], {
            'requested': 'write-back', 'actual': None,
            'reason': 'not-open', 'detail': 'the disk is not open'})
        disk = self.open()
        self.assertEqual(disk['mode'], {
            'requested': 'write-back', 'actual': 'write-through',
            'reason': 'backend-refusing', 'detail': 'the backend is full',
            'writes_wait': True, 'left_bytes': 8192})
        self.assertEqual(disk['dirty_bytes'], 4096)

    def test_opening_an_open_disk_changes_nothing(self):
        pid = self.open()['pid']
        self.assertEqual(self.open()['pid'], pid)

    def test_a_closed_disk_is_clean_and_its_process_gone(self):
        pid = self.open()['pid']
        disk = self.host.post('/disks/d1/close')
        self.assertEqual((disk['state'], disk['pid'], disk['dirty_bytes']),
                         ('closed', None, 0))
        self.assertFalse(self.host.runs(pid))
        self.host.post('/disks/d1/close')
        self.open()

    def test_the_words_of_a_failed_open_reach_who_asked(self):
        self.host.behave(DISK, start='fail',
                         message='file:/x is locked by process 7')
        problem = self.problem('POST', '/disks/d1/open')
        self.assertEqual(problem['code'], 'open-failed')
        self.assertIn('file:/x is locked by process 7', problem['detail'])
        disk = self.host.disk()
        self.assertEqual((disk['state'], disk['desired'],
                          disk['dirty_bytes']), ('closed', 'closed', 0))
        self.host.behave(DISK)
        self.open()

    def test_a_close_that_can_not_drain_leaves_the_disk_open(self):
        pid = self.open()['pid']
        self.host.behave(DISK, close='refuse')
        problem = self.problem('POST', '/disks/d1/close')
        self.assertEqual(problem['code'], 'close-failed')
        self.assertIn('stays open: close failed here', problem['detail'])
        disk = self.host.disk()
        self.assertEqual((disk['state'], disk['desired'], disk['pid']),
                         ('open', 'open', pid))
        self.host.behave(DISK)
        self.host.post('/disks/d1/close')

    def begin_close(self):
        """Returns the thread that waits for the close, and its answers."""
        answers = []

        def close():
            try:
                answers.append(self.host.request('POST', '/disks/d1/close'))
            except (OSError, http.client.HTTPException):
                pass  # forebayd was killed
        thread = threading.Thread(target=close)
        thread.start()
        return thread, answers

    def die_while_closing(self, **behaviour):
        """As begin_close(), of a disk whose process dies meanwhile."""
        pid = self.open()['pid']
        self.host.behave(DISK, close='silent', **behaviour)
        thread, answers = self.begin_close()
        self.host.wait_for_state('closing')
        os.kill(pid, signal.SIGKILL)
        return thread, answers

    def test_a_process_that_hangs_up_on_a_close_is_asked_again(self):
        self.open()
        self.host.behave(DISK, close='hang-up')
        thread, answers = self.begin_close()
        wait_until(lambda: 'asking again' in (self.host.disk()['reason']
                                              or ''), 20, 'it asks again')
        self.assertTrue(thread.is_alive())
        self.host.behave(DISK, close='ok')
        thread.join()
        self.assertEqual(answers[0][0], 200)
        self.assertEqual(self.host.disk()['state'], 'closed')

    def test_a_crash_while_draining_is_followed_by_one_that_drains(self):
        thread, answers = self.die_while_closing(drain='slow')
        self.host.wait_for_state('draining')
        wait_until(lambda: self.host.disk()['reason'] == 'brings it down', 20,
                   'it tells what it does')
        self.assertIsNone(self.host.disk()['dirty_bytes'])
        self.assertTrue(thread.is_alive())
        self.host.behave(DISK, drain='ok')
        thread.join()
        self.assertEqual(answers[0][0], 200)
        disk = self.host.disk()
        self.assertEqual((disk['state'], disk['dirty_bytes']), ('closed', 0))

    def test_a_disk_that_can_not_be_drained_tells_why(self):
        thread, answers = self.die_while_closing(drain='fail')
        thread.join()
        status, problem = answers[0]
        self.assertEqual(problem['code'], 'close-failed')
        self.assertIn('the backend is away', problem['detail'])
        self.assertEqual(self.host.disk()['state'], 'failed')
        self.assertEqual(self.host.get('/status')['state'], 'degraded')
        # Asked again it is tried again.
        self.host.behave(DISK, drain='ok')
        self.host.post('/disks/d1/close')
        self.assertEqual(self.host.disk()['state'], 'closed')

    def test_a_disk_that_is_drained_can_be_opened(self):
        thread, answers = self.die_while_closing(drain='slow')
        self.host.wait_for_state('draining')
        pid = self.host.disk()['pid']
        disk = self.open()
        thread.join()
        self.assertEqual(disk['state'], 'open')
        self.assertNotEqual(disk['pid'], pid)

    def test_one_that_drains_outlives_forebayd(self):
        thread, answers = self.die_while_closing(drain='slow')
        self.host.wait_for_state('draining')
        pid = self.host.disk()['pid']
        self.host.daemon.kill()
        thread.join()
        self.host.start()
        self.host.wait_for_state('draining')
        self.assertEqual(self.host.disk()['pid'], pid)
        self.host.behave(DISK, drain='ok')
        self.host.wait_for_state('closed')
        self.assertEqual(self.host.disk()['dirty_bytes'], 0)

    def test_a_dirty_disk_is_drained_after_a_reboot(self):
        thread, answers = self.die_while_closing(drain='slow')
        self.host.wait_for_state('draining')
        self.host.daemon.kill()
        thread.join()
        # A reboot ends them all, forebay-cached too.
        for pid in self.host.children():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.host.children(), 20, 'their end')
        shutil.rmtree(self.host.root + '/run')
        self.host.behave(DISK, drain='ok')
        self.host.start()
        wait_until(lambda: self.host.disk()['dirty_bytes'] == 0, 20,
                   'the disk is clean')
        self.assertEqual(self.host.disk()['state'], 'closed')

    def test_a_start_that_takes_long_tells_why(self):
        self.host.behave(DISK, start='opening')
        thread = threading.Thread(target=self.open)
        thread.start()
        wait_until(lambda: self.host.disk()['reason'] ==
                   'waits for its predecessor', 20, 'a reason')
        self.assertEqual(self.host.disk()['state'], 'opening')
        self.host.behave(DISK)
        thread.join()
        self.assertEqual(self.host.disk()['state'], 'open')

    def test_a_disk_that_is_opening_can_be_closed(self):
        self.host.behave(DISK, start='opening')
        thread = threading.Thread(
            target=lambda: self.host.request('POST', '/disks/d1/open'))
        thread.start()
        self.host.wait_for_state('opening')
        self.host.request('POST', '/disks/d1/close')
        thread.join()
        self.assertEqual(self.host.disk()['state'], 'closed')

    def test_a_flush_is_done_by_the_process(self):
        self.open()
        self.host.post('/disks/d1/flush')
        self.host.behave(DISK, flush='refuse')
        problem = self.problem('POST', '/disks/d1/flush')
        self.assertEqual(problem['code'], 'flush-failed')
        self.assertIn('flush failed here', problem['detail'])

    def test_stats_are_those_of_the_process(self):
        self.open()
        stats = self.host.get('/disks/d1/stats')
        self.assertEqual([filter_['name'] for filter_ in stats['filters']],
                         ['mimic', 'cache'])

    def test_advice_names_the_smallest_size_that_is_about_as_good(self):
        self.open()
        self.host.behave(DISK, curve=self.curve(16, .61, .30, .83, .835))
        advice = self.host.get('/disks/d1/advice')
        self.assertEqual(advice['summary'],
                         'with 32GiB this disk would hit 83 %; it has 16GiB '
                         'and hits 61 %')
        self.assertEqual([(row['size_bytes'] >> 30, row['hit_ratio'],
                           row['present']) for row in advice['points']],
                         [(8, .30, False), (16, .61, True), (32, .83, False),
                          (64, .835, False)])
        gains = [row['doubling_gain'] for row in advice['points']]
        for gain, told in zip(gains, (.30, .23, .005)):
            self.assertAlmostEqual(gain, told)
        self.assertIsNone(gains[3])
        self.assertEqual(self.host.disk()['advice'], advice['summary'])

    def test_advice_says_when_the_cache_is_large_enough(self):
        self.open()
        self.host.behave(DISK, curve=self.curve(16, .61, .30, .601, .605))
        self.assertIn('has 16GiB and hits 61 %; more would gain next to '
                      'nothing', self.host.get('/disks/d1/advice')['summary'])
        self.host.behave(DISK, curve=self.curve(16, .61, .599, .601, .605))
        self.assertIn('with 8GiB this disk would still hit 60 %',
                      self.host.get('/disks/d1/advice')['summary'])

    def test_advice_for_a_size_between_has_a_row_of_its_own(self):
        self.open()
        self.host.behave(DISK, curve=self.curve(20, .61, .30, .83, .835))
        points = self.host.get('/disks/d1/advice')['points']
        self.assertEqual([row['size_bytes'] >> 30 for row in points],
                         [8, 16, 20, 32, 64])
        self.assertEqual([row['present'] for row in points],
                         [False, False, True, False, False])

    def test_advice_waits_until_enough_was_read(self):
        self.open()
        self.host.behave(DISK, curve={**self.curve(16, .61, .3, .8, .8),
                                      'read_blocks': 999})
        advice = self.host.get('/disks/d1/advice')
        self.assertFalse(advice['enough'])
        self.assertEqual(advice['points'], [])
        self.assertIn('999 of 1000 blocks', advice['summary'])

    def test_a_disk_that_runs_without_its_cache_has_no_advice(self):
        self.open()
        problem = self.problem('GET', '/disks/d1/advice')
        self.assertEqual(problem['code'], 'no-cache')
        self.assertIn('the backend is full', problem['detail'])
        self.assertIsNone(self.host.disk()['advice'])

    @staticmethod
    def curve(present, measured, *ratios):
        sizes = (8, 16, 32, 64)
        told = (ratios[0], .60, *ratios[1:])
        return {'read_blocks': 1000, 'needed_blocks': 1000,
                'size_bytes': present << 30, 'hit_ratio': measured,
                'points': [{'size_bytes': size << 30, 'hit_ratio': ratio,
                            'full': True}
                           for size, ratio in zip(sizes, told)]}


    def test_what_hangs_below_is_told(self):
        self.assertIsNone(self.open()['reason'])
        self.host.behave(DISK, stuck=2)
        self.assertEqual(self.host.disk()['reason'],
                         'requests stuck in the backend: 2, for 31 s; waiting '
                         'for them to end: 1')
        self.host.behave(DISK, overdue=True)
        self.assertIn('migration waits', self.host.disk()['reason'])


class Deleting(WithDisk):
    def leave_dirty(self):
        """A disk whose process died while it drained, and the next one hangs.
        """
        pid = self.open()['pid']
        self.host.behave(CACHED, exists=True)
        self.host.behave(DISK, close='silent', drain='slow')
        thread = threading.Thread(
            target=lambda: self.host.request('POST', '/disks/d1/close'))
        thread.start()
        self.host.wait_for_state('closing')
        os.kill(pid, signal.SIGKILL)
        self.host.wait_for_state('draining')
        self.addCleanup(thread.join)

    def test_an_open_disk_is_not_deleted(self):
        self.open()
        problem = self.problem('DELETE', '/disks/d1?discard_dirty=true')
        self.assertEqual(problem['code'], 'disk-open')
        self.assertEqual(self.host.disk()['state'], 'open')

    def test_the_cache_goes_with_the_disk(self):
        disk = self.host.disk()
        self.host.request('DELETE', '/disks/d1')
        with open(self.host.programs + '/deleted.json',
                  encoding='utf-8') as file:
            self.assertEqual(json.load(file), {'uuid': disk['id']})
        self.assertFalse(os.path.exists(
            f'{self.host.root}/run/disks/{disk["id"]}'))

    def test_a_dirty_disk_names_the_bytes_that_would_go(self):
        self.leave_dirty()
        problem = self.problem('DELETE', '/disks/d1')
        self.assertEqual(problem['code'], 'disk-dirty')
        self.assertIn('64MiB', problem['detail'])
        self.assertIn('discard_dirty', problem['hint'])
        status, answer = self.host.request(
            'DELETE', '/disks/d1?discard_dirty=true')
        self.assertEqual(status, 200)
        self.assertEqual(answer['discarded_dirty_bytes'], 64 << 20)

    def test_a_dirty_disk_is_clean_after_an_open_and_a_close(self):
        self.leave_dirty()
        self.host.behave(DISK)
        self.open()
        self.host.post('/disks/d1/close')
        self.assertEqual(self.host.request('DELETE', '/disks/d1')[0], 200)

    def test_a_cache_that_can_not_be_deleted_keeps_the_disk(self):
        self.host.behave(CACHED, **{'disk-delete': 'refuse'})
        problem = self.problem('DELETE', '/disks/d1?delete_backend=true')
        self.assertEqual(problem['object'], 'disk d1')
        self.assertTrue(os.path.exists(self.host.root + '/d1.img'))
        disk = self.host.disk()
        self.assertEqual((disk['state'], disk['desired']),
                         ('closed', 'closed'))
        self.open()


class Restarts(WithDisk):
    def test_a_killed_disk_comes_back(self):
        pid = self.open()['pid']
        os.kill(pid, signal.SIGKILL)
        disk = wait_until(
            lambda: (lambda d: d if d['state'] == 'open' and d['pid'] != pid
                     else None)(self.host.disk()), 20, 'restarted')
        self.assertEqual(disk['restarts'], 1)

    def test_the_cache_daemon_comes_back(self):
        pid = self.host.get('/status')['cached']['pid']
        os.kill(pid, signal.SIGKILL)

        def back():
            cached = self.host.get('/status')['cached']
            return cached['state'] == 'running' and cached['pid'] != pid
        wait_until(back, 20, 'forebay-cached is back')

    def test_a_crash_loop_is_given_up_and_nobody_else_waits(self):
        pid = self.open()['pid']
        self.host.behave(DISK, start='crash')
        os.kill(pid, signal.SIGKILL)
        self.host.wait_for_state('restarting')
        self.assertLess(took(lambda: self.host.get('/status')), 2)
        self.assertLess(took(lambda: self.host.make_disk('d2')), 2)
        disk = self.host.wait_for_state('failed', seconds=90)
        self.assertIn('signal 9', disk['reason'])
        self.assertEqual(disk['desired'], 'open')
        issue = self.host.get('/status')['issues'][0]
        self.assertEqual(issue['object'], 'disk d1')

    def test_a_disk_that_failed_can_be_opened_again(self):
        self.test_a_crash_loop_is_given_up_and_nobody_else_waits()
        self.assertEqual(self.problem('POST', '/disks/d1/open')['code'],
                         'open-failed')
        self.assertEqual(self.host.disk()['desired'], 'open')
        self.host.behave(DISK)
        self.assertEqual(self.open()['state'], 'open')


class Hangs(WithDisk):
    def test_a_process_that_hangs_delays_only_its_own_answers(self):
        pid = self.open()['pid']
        self.host.make_disk('d2')
        self.host.post('/disks/d2/open')
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        disk = self.host.disk()
        self.assertEqual((disk['state'], disk['dirty_bytes']),
                         ('open', None))
        self.assertIn('does not answer', disk['reason'])
        problem = self.problem('GET', '/disks/d1/stats')
        self.assertEqual(problem['code'], 'data-plane-timeout')
        self.assertLess(took(lambda: self.host.get('/disks/d2/stats')), 1)
        self.assertLess(took(lambda: self.host.get('/status')), 1)

    def test_a_list_waits_for_all_slow_disks_at_once(self):
        self.open()
        for name in ('d2', 'd3', 'd4', 'd5'):
            self.host.make_disk(name)
            self.host.post(f'/disks/{name}/open')
        self.host.behave(DISK, silent=True)
        self.assertLess(took(lambda: self.host.get('/disks')), 3)

    def test_stopping_forebayd_waits_for_no_disk(self):
        self.open()
        self.host.behave(DISK, flush='silent')

        def flush():
            try:
                self.host.request('POST', '/disks/d1/flush')
            except OSError:
                pass
        thread = threading.Thread(target=flush)
        thread.start()
        self.assertLess(took(self.host.daemon.stop), 10)
        thread.join()


class Contention(WithDisk):
    CODES = {'disk-busy', 'disk-open', 'disk-not-open', 'close-failed',
             'no-such-disk', 'disk-exists', 'backend-in-use', 'disk-dirty'}

    def quarrel(self, words, trouble):
        for number in range(40):
            verb = words[number % len(words)]
            if verb == 'delete':
                status, answer = self.host.request('DELETE', '/disks/d1')
            elif verb == 'create':
                status, answer = self.host.request('POST', '/disks', {
                    'name': 'd1', 'size_bytes': 1 << 20, 'policy': 'gold',
                    'backend': f'file:{self.host.root}/d1.img'})
            else:
                status, answer = self.host.request('POST',
                                                   '/disks/d1/' + verb)
            if status >= 400 and answer['code'] not in self.CODES:
                trouble.append(answer)

    def test_verbs_that_quarrel_leave_one_disk_and_one_process(self):
        trouble = []
        threads = [threading.Thread(target=self.quarrel,
                                    args=(words, trouble))
                   for words in (('open', 'close'), ('close', 'open'),
                                 ('flush', 'open'), ('delete', 'create'))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(trouble, [])
        if not self.host.get('/disks')['items']:
            self.host.make_disk(policy='gold')
        self.open()
        # One for the disk, one for the cache.
        self.assertEqual(len(self.host.children()), 2)
        self.host.post('/disks/d1/close')
        self.assertEqual(len(self.host.children()), 1)


class Adoption(WithDisk):
    def test_disks_run_on_without_forebayd_and_are_found_again(self):
        pid = self.open()['pid']
        cached = self.host.get('/status')['cached']['pid']
        self.kill_forebayd()
        self.assertTrue(self.host.runs(pid))
        self.host.start()
        disk = self.host.wait_for_state('open')
        self.assertEqual((disk['pid'], disk['restarts']), (pid, 0))
        wait_until(lambda: self.host.get('/status')['cached']['pid'] ==
                   cached, 10, 'forebay-cached found')

    def test_a_clean_stop_leaves_disks_running(self):
        pid = self.open()['pid']
        self.assertEqual(self.host.daemon.stop(), 0)
        self.assertTrue(self.host.runs(pid))
        self.host.start()
        self.assertEqual(self.host.wait_for_state('open')['pid'], pid)

    def test_a_hung_disk_is_found_again(self):
        pid = self.open()['pid']
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        self.kill_forebayd()
        self.host.start()
        self.assertEqual(self.host.wait_for_state('open')['pid'], pid)

    def test_a_disk_whose_pid_was_never_written_is_found_again(self):
        disk = self.open()
        self.kill_forebayd()
        with open(f'{self.host.root}/run/disks/{disk["id"]}/lock', 'r+',
                  encoding='utf-8') as file:
            text = file.read()
            file.truncate(0)
        try:
            self.host.start()
            self.assertEqual(self.host.wait_for_state('open')['pid'],
                             disk['pid'])
        finally:
            with open(f'{self.host.root}/run/disks/{disk["id"]}/lock', 'r+',
                      encoding='utf-8') as file:
                file.write(text)

    def test_an_adopted_disk_that_dies_is_restarted(self):
        pid = self.open()['pid']
        self.kill_forebayd()
        self.host.start()
        self.host.wait_for_state('open')
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.host.disk()['pid'] not in (None, pid), 20,
                   'restarted')
        self.host.wait_for_state('open')

    def test_a_disk_that_died_meanwhile_is_started(self):
        pid = self.open()['pid']
        self.kill_forebayd()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.host.runs(pid), 10, 'gone')
        self.host.start()
        self.assertNotEqual(self.host.wait_for_state('open')['pid'], pid)

    def test_a_close_goes_on_after_forebayd_was_killed(self):
        pid = self.open()['pid']
        self.host.behave(DISK, close='silent')

        def close():
            try:
                self.host.request('POST', '/disks/d1/close')
            except OSError:
                pass
        thread = threading.Thread(target=close)
        thread.start()
        self.host.wait_for_state('closing')
        self.kill_forebayd()
        thread.join()
        self.host.behave(DISK)
        self.host.start()
        self.host.wait_for_state('closed')
        self.assertFalse(self.host.runs(pid))
        self.assertEqual(self.host.disk()['dirty_bytes'], 0)

    def test_an_adopted_disk_can_be_closed(self):
        self.open()
        self.kill_forebayd()
        self.host.start()
        disk = self.host.post('/disks/d1/close')
        self.assertEqual((disk['state'], disk['dirty_bytes']), ('closed', 0))


if __name__ == '__main__':
    tap.main(at_once=4)
