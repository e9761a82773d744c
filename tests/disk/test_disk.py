# SPDX-License-Identifier: Apache-2.0
"""A real forebay-disk process: start, service, control socket, end."""

import json
import os
import signal
import stat
import subprocess
import time
import unittest

import nbd

import spawn
import tap
from disk_process import (LOAD, MIB, PROGRAM, SECONDS, Disk, Refused,
                          filter_entry, library, pattern)


class Service(unittest.TestCase):

    def test_what_is_written_through_filters_lies_in_the_image(self):
        disk = Disk(self, [filter_entry('throttle', iops=100000),
                           filter_entry('null')]).start_ready()
        handle = disk.nbd()
        handle.pwrite(pattern(1), 8192)
        handle.pwrite(pattern(2, 512), 16384, nbd.CMD_FLAG_FUA)
        handle.flush()
        with open(disk.image, 'rb') as image:
            image.seek(8192)
            self.assertEqual(image.read(4096), pattern(1))
            image.seek(16384)
            self.assertEqual(image.read(512), pattern(2, 512))
        self.assertEqual(handle.pread(4096, 8192), pattern(1))

    def test_aligned_reads_are_not_copied(self):
        disk = Disk(self, [filter_entry('null')]).start_ready()
        handle = disk.nbd()
        for number in range(16):
            handle.pread(4096, number * 4096)
        stats = disk.call('stats')
        self.assertEqual(stats['copied_bytes'], 0)
        self.assertEqual(stats['requests']['read']['count'], 16)
        self.assertEqual(stats['requests']['read']['bytes'], 16 * 4096)

    def test_trim_and_zeroes_pass_the_chain(self):
        disk = Disk(self, [filter_entry('throttle'),
                           filter_entry('null')]).start_ready()
        handle = disk.nbd()
        handle.pwrite(pattern(1, MIB), 0)
        handle.zero(4096, 4096)
        handle.trim(4096, 16384)
        self.assertEqual(handle.pread(4096, 4096), bytes(4096))
        self.assertEqual(handle.pread(4096, 0), pattern(1))

    def test_what_a_filter_does_not_know_is_done_above_it(self):
        disk = Disk(self, [filter_entry('probe-top')]).start_ready()
        handle = disk.nbd()
        handle.pwrite(b'x' * 8192, 0)
        handle.trim(4096, 4096)
        handle.zero(4096, 0)
        self.assertEqual(handle.pread(8192, 0), bytes(4096) + b'x' * 4096)
        self.assertEqual(disk.call('stats')['discards_ignored'], 1)

    def test_a_read_only_disk_is_read_only(self):
        disk = Disk(self)
        disk.config['read_only'] = True
        handle = disk.start_ready().nbd()
        self.assertTrue(handle.is_read_only())
        self.assertEqual(handle.pread(512, 0), bytes(512))

    def test_the_nbd_export_is_called_like_the_disk_by_default(self):
        disk = Disk(self)
        del disk.config['exports']['nbd']['name']
        self.assertEqual(disk.start_ready().nbd().get_size(), 64 * MIB)

    def test_exports_are_optional(self):
        disk = Disk(self)
        disk.config['exports'] = {}
        disk.start_ready()
        self.assertFalse(os.path.exists(disk.path('nbd')))
        self.assertFalse(os.path.exists(disk.path('vhost')))
        self.assertEqual(disk.call('stats')['exports'], {})

    def test_sockets_are_closed_to_others(self):
        disk = Disk(self).start_ready()
        for name, mode in (('control', 0o600), ('nbd', 0o660),
                           ('vhost', 0o660)):
            self.assertEqual(stat.S_IMODE(os.stat(disk.path(name)).st_mode),
                             mode, name)

    def test_an_idle_disk_uses_no_cpu(self):
        disk = Disk(self, [filter_entry('throttle', iops=5)]).start_ready()
        disk.nbd().pread(512, 0)

        def ticks():
            with open(f'/proc/{disk.process.pid}/stat',
                      encoding='utf-8') as file:
                words = file.read().rsplit(')', 1)[1].split()
            return int(words[11]) + int(words[12])

        before = ticks()
        time.sleep(1)
        # A tick is 10 ms; one may fall into the second by chance.
        self.assertLessEqual(ticks() - before, 1)


class VhostUser(unittest.TestCase):

    def load(self, disk, *words):
        """Starts a guest's load that checks what it reads."""
        process = spawn.Process(
            [LOAD, 'bench', '--vhost-user', disk.path('vhost'), '--read',
             '70', '--depth', '8', '--queues', '2', '--span', '16MiB',
             '--flush-every', '16', '--verify', '--destroy-data', *words],
            os.path.join(disk.folder, 'load'))
        self.addCleanup(process.kill)
        return process

    def test_a_guest_reads_what_it_wrote_and_nothing_is_copied(self):
        disk = Disk(self, [filter_entry('throttle', iops=1000000),
                           filter_entry('null')]).start_ready()
        load = self.load(disk, '--count', '4000')
        self.assertEqual(load.wait(60), 0, load.output())
        stats = disk.call('stats')
        self.assertEqual(stats['copied_bytes'], 0)
        self.assertGreaterEqual(stats['requests']['write']['count'], 1000)
        self.assertEqual(stats['filters'][0]['status']['errors'], 0)

    def test_a_guest_does_not_notice_that_the_process_was_killed(self):
        disk = Disk(self, [filter_entry('throttle', iops=4000),
                           filter_entry('null')]).start_ready()
        load = self.load(disk, '--count', '8000', '--reconnect', '30')
        for _ in range(3):
            before = disk.call('stats')['requests']['write']['count']
            spawn.wait_until(
                lambda: disk.call('stats')['requests']['write']['count']
                > before + 200 or not load.alive(), SECONDS, 'writes')
            self.assertTrue(load.alive(), load.output())
            disk.process.kill()
            disk.start_ready()
        self.assertEqual(load.wait(60), 0, load.output())


class Start(unittest.TestCase):

    def test_it_tells_what_it_waits_for(self):
        disk = Disk(self, [filter_entry('probe-bottom', late='300ms')])
        disk.start()
        self.assertEqual(disk.next_state(), {
            'state': 'opening', 'reason': 'backend file:' + disk.image})
        self.assertEqual(disk.next_state(), {
            'state': 'opening', 'reason': 'filter probe-bottom'})
        status = disk.call('status')
        self.assertEqual(status['state'], 'opening')
        self.assertEqual(status['reason'], 'filter probe-bottom')
        self.assertFalse(os.path.exists(disk.path('nbd')))
        with self.assertRaisesRegex(Refused, 'disk db1 is opening'):
            disk.call('stats')
        with self.assertRaisesRegex(Refused, 'disk db1 is opening'):
            disk.call('close')
        self.assertEqual(disk.next_state(), {'state': 'ready'})
        self.assertTrue(os.path.exists(disk.path('nbd')))

    def test_a_second_process_on_the_same_image_is_refused(self):
        first = Disk(self).start_ready()
        second = Disk(self, folder=spawn.folder(self))
        second.config['backend'] = first.config['backend']
        message = second.start_failing()
        self.assertIn(first.image, message)
        self.assertRegex(second.states[1]['reason'], 'waiting for .* image')
        first.nbd().pread(512, 0)

    def test_a_successor_starts_when_its_predecessor_was_killed(self):
        disk = Disk(self).start_ready()
        handle = disk.nbd()
        handle.pwrite(pattern(3), 0)
        handle.flush()
        disk.process.kill()
        disk.start_ready()
        self.assertEqual(disk.nbd().pread(4096, 0), pattern(3))

    def test_nobody_needs_to_listen_to_the_status(self):
        disk = Disk(self, [filter_entry('probe-bottom', late='200ms')])
        disk.start()
        disk.pipe.close()
        spawn.wait_until(lambda: os.path.exists(disk.path('nbd')), SECONDS,
                         'the disk is ready')


class End(unittest.TestCase):

    def test_sigterm_closes_in_order(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            disk = Disk(self, [filter_entry('throttle'),
                               filter_entry('null')]).start_ready()
            disk.nbd().pwrite(pattern(1), 0)
            os.kill(disk.process.pid, number)
            self.assertEqual(disk.process.wait(SECONDS), 0)
            for name in ('control', 'nbd', 'vhost'):
                self.assertFalse(os.path.exists(disk.path(name)), name)
            self.assertIn('disk db1 is closed', disk.process.output())

    def test_sigterm_ends_a_disk_that_still_opens(self):
        disk = Disk(self, [filter_entry('probe-bottom', late='1h')])
        disk.start()
        disk.next_state()
        disk.next_state()
        self.assertEqual(disk.process.stop(SECONDS), 0)
        self.assertFalse(os.path.exists(disk.path('control')))

    def test_requests_in_flight_are_answered_before_the_end(self):
        disk = Disk(self, [filter_entry('throttle', iops=20)]).start_ready()
        handle = disk.nbd()
        cookies = [handle.aio_pread(nbd.Buffer(512), i * 512)
                   for i in range(10)]

        def arrived():
            stats = disk.call('stats')
            return (stats['in_flight'] > 0 and stats['in_flight']
                    + stats['requests']['read']['count'] == len(cookies))

        spawn.wait_until(arrived, SECONDS, 'all requests arrived')
        disk.process.popen.terminate()
        for cookie in cookies:
            # Raises for one that was answered with an error or never.
            while not handle.aio_command_completed(cookie):
                handle.poll(1000)
        self.assertEqual(disk.process.wait(SECONDS), 0)

    def test_close_answers_when_all_is_closed(self):
        disk = Disk(self, [filter_entry('null')]).start_ready()
        self.assertEqual(disk.call('close', drain=True), {})
        self.assertEqual(disk.process.wait(SECONDS), 0)

    def test_a_drain_flushes_every_filter(self):
        disk = Disk(self, [filter_entry('probe-top'),
                           filter_entry('probe-bottom')]).start_ready()
        disk.nbd().pwrite(pattern(1), 0)
        disk.call('close', drain=True)
        self.assertEqual(disk.process.wait(SECONDS), 0)
        self.assertIn('probe-bottom: flush', disk.process.output())

    def test_a_drain_that_fails_keeps_the_disk_in_service(self):
        disk = Disk(self, [filter_entry('probe-bottom',
                                        stuck=True)]).start_ready()
        with self.assertRaisesRegex(Refused, 'drain failed'):
            disk.call('close', drain=True)
        self.assertEqual(disk.call('status')['state'], 'ready')
        disk.nbd().pread(512, 0)
        self.assertEqual(disk.call('close', drain=False), {})
        self.assertEqual(disk.process.wait(SECONDS), 0)


    def test_a_filter_that_leaves_a_timer_armed_is_named(self):
        disk = Disk(self, [filter_entry('probe-bottom',
                                        untidy=True)]).start_ready()
        disk.process.popen.terminate()
        self.assertEqual(disk.process.wait(SECONDS), -signal.SIGABRT)
        self.assertIn('disk db1: filter probe-bottom broke a rule: in '
                      'close, close_done() with a timer armed',
                      disk.process.output())


class Control(unittest.TestCase):

    def setUp(self):
        self.disk = Disk(self, [filter_entry('throttle', iops=1000),
                                filter_entry('null')]).start_ready()

    def test_status_names_disk_process_and_version(self):
        status = self.disk.call('status')
        self.assertEqual(status['state'], 'ready')
        self.assertEqual(status['pid'], self.disk.process.pid)
        self.assertEqual(status['name'], 'db1')
        self.assertEqual(status['uuid'], self.disk.config['uuid'])
        self.assertRegex(status['version'], r'^\d+\.\d+')

    def test_stats_show_every_filter_and_export(self):
        stats = self.disk.call('stats')
        self.assertEqual([f['name'] for f in stats['filters']],
                         ['null', 'throttle'])
        self.assertEqual(stats['filters'][1]['properties']['iops'], 1000)
        self.assertEqual(sorted(stats['exports']), ['nbd', 'vhost_user_blk'])
        self.assertEqual(sorted(stats['requests']['read']['latency_us']),
                         ['histogram', 'max', 'mean', 'p50', 'p99', 'p999',
                          'sum_ns'])

    def test_properties_change_while_the_disk_is_open(self):
        self.disk.call('set-properties', filter='throttle',
                       properties={'iops': 7, 'burst': '1s'})
        properties = self.disk.call('stats')['filters'][1]['properties']
        self.assertEqual(properties['iops'], 7)
        self.assertEqual(properties['burst'], 1000000000)
        with self.assertRaisesRegex(Refused, "did you mean 'iops'"):
            self.disk.call('set-properties', filter='throttle',
                           properties={'iop': 7})
        with self.assertRaisesRegex(Refused, "has no filter 'cache'"):
            self.disk.call('set-properties', filter='cache', properties={})

    def test_actions_are_run_or_refused_by_name(self):
        self.assertEqual(self.disk.call('action', action='flush'), {})
        with self.assertRaisesRegex(Refused, "knows the action 'dance'"):
            self.disk.call('action', action='dance')
        with self.assertRaisesRegex(Refused, "doesn't know the action"):
            self.disk.call('action', filter='null', action='flush')
        with self.assertRaisesRegex(Refused, "has no filter 'cache'"):
            self.disk.call('action', filter='cache', action='flush')
        with self.assertRaisesRegex(Refused, "'action' must be"):
            self.disk.call('action', action=5)
        with self.assertRaisesRegex(Refused, "'drain' must be"):
            self.disk.call('close', drain='yes')

    def test_rubbish_does_not_hurt(self):
        link = self.disk.connect()
        for packet in (b'{', b'[]', b'null', b'{"id":1}', b'\0' * 1000,
                       b'{"id":1,"method":"stats","params":[]}'):
            link.send(packet)
            self.assertIn('error', json.loads(link.recv(1 << 16)))
        self.disk.call('status')


class Throttling(unittest.TestCase):

    def test_a_real_disk_is_held_to_its_rate(self):
        disk = Disk(self, [filter_entry('throttle', iops=100,
                                        burst='100ms')]).start_ready()
        handle = disk.nbd()
        start = time.monotonic()
        cookies = [handle.aio_pread(nbd.Buffer(4096), i * 4096)
                   for i in range(60)]
        for cookie in cookies:
            while not handle.aio_command_completed(cookie):
                handle.poll(-1)
        # 10 are saved up, 50 take half a second. Slower is no mistake, and
        # on a busy machine some may come when their turn has come.
        self.assertGreaterEqual(time.monotonic() - start, 0.499)
        status = disk.call('stats')['filters'][0]['status']
        self.assertGreaterEqual(status['delayed_requests'], 25)
        self.assertEqual(status['held'], 0)


class BadInput(unittest.TestCase):

    def refused(self, regex, **changes):
        disk = Disk(self)
        disk.config.update(changes)
        message = disk.start_failing()
        self.assertRegex(message, regex)
        self.assertNotIn('\n', message)
        self.assertFalse(os.path.exists(disk.path('control')))
        return disk

    def test_a_backend_that_does_not_exist(self):
        self.refused('/nowhere/image', backend='file:/nowhere/image')
        self.refused("'gluster:x'", backend='gluster:x')

    def test_a_size_that_is_not_the_backends(self):
        self.refused('disk db1 is 1MiB, but its backend file:/.* is 64MiB',
                     size_bytes=MIB)
        self.refused('must be a multiple of 512', size_bytes=1000)

    def test_a_filter_that_can_not_be_loaded(self):
        entry = filter_entry('throttle')
        self.refused('No such file',
                     filters=[dict(entry, library='/nowhere/x.so')])
        self.refused("can't be loaded", filters=[dict(
            entry, library=os.path.abspath(__file__))])
        self.refused('was built for filter ABI 99', filters=[dict(
            entry, library=library('bad-abi'))])
        self.refused("holds the filter 'null', not 'throttle'", filters=[dict(
            entry, library=library('null'))])

    def test_an_unknown_property(self):
        self.refused("filter throttle has no property 'iop': did you mean "
                     "'iops'", filters=[filter_entry('throttle', iop=5)])

    def test_two_filters_of_one_class(self):
        self.refused('are both of class cache', filters=[
            filter_entry('probe-bottom'), filter_entry('probe-second')])

    def test_a_filter_that_fails_to_open(self):
        self.refused('filter probe-bottom: it was told to fail', filters=[
            filter_entry('probe-bottom', fail=True)])

    def test_a_socket_path_that_is_too_long(self):
        self.refused('longer than the 107 bytes', exports={
            'nbd': {'socket': '/tmp/' + 'x' * 120}})

    def test_a_device_of_a_newer_version(self):
        self.refused("the disk's device is of revision 99, this version of "
                     'Forebay knows 1 to 2', exports={'vhost_user_blk': {
                         'socket': '/tmp/fb-newer', 'device_revision': 99}})
        self.refused("'queues' of .* isn't a number from 1 to 64", exports={
            'vhost_user_blk': {'socket': '/tmp/fb-newer', 'queues': 65}})

    def test_a_configuration_with_mistakes(self):
        self.refused("unknown key 'colour'", colour='red')
        self.refused("isn't a UUID", uuid='123')
        self.refused("isn't a positive number", size_bytes='1GiB')
        self.refused("'filters' isn't a list", filters={})
        self.refused("a filter has no 'library'", filters=[{'name': 'x'}])
        self.refused("isn't an absolute path", exports={
            'nbd': {'socket': 'nbd.sock'}})

    def test_an_export_socket_that_can_not_be_made(self):
        disk = self.refused('/nowhere/nbd', exports={
            'nbd': {'socket': '/nowhere/nbd'}})
        self.assertIn('is closed', disk.process.output())

    def test_a_control_socket_that_is_in_use(self):
        first = Disk(self).start_ready()
        second = Disk(self, folder=spawn.folder(self))
        second.config['control_socket'] = first.config['control_socket']
        self.assertIn(first.path('control'), second.start_failing())
        self.assertEqual(first.call('status')['state'], 'ready')


class CommandLine(unittest.TestCase):

    def run_disk(self, *words):
        return subprocess.run([PROGRAM, *words], capture_output=True,
                              text=True, timeout=SECONDS, check=False,
                              stdin=subprocess.DEVNULL)

    def test_help_and_version(self):
        self.assertIn('usage: forebay-disk', self.run_disk('--help').stdout)
        self.assertRegex(self.run_disk('--version').stdout,
                         r'^forebay-disk \d')

    def test_wrong_arguments_exit_with_2(self):
        for words in ([], ['--what'], ['--config'], ['x'],
                      ['--config', 'a', '--describe-filter', 'b'],
                      ['--config', 'a', '--status-fd', 'x']):
            done = self.run_disk(*words)
            self.assertEqual(done.returncode, 2, words)
            self.assertTrue(done.stderr, words)

    def test_a_configuration_that_can_not_be_read_exits_with_1(self):
        done = self.run_disk('--config', '/nowhere/config.json')
        self.assertEqual(done.returncode, 1)
        self.assertIn('/nowhere/config.json', done.stderr)
        done = self.run_disk('--config', os.path.abspath(__file__))
        self.assertEqual(done.returncode, 1)
        self.assertIn("isn't valid JSON", done.stderr)

    def test_a_filter_is_described(self):
        done = self.run_disk('--describe-filter', library('throttle'))
        self.assertEqual(done.returncode, 0)
        description = json.loads(done.stdout)
        self.assertEqual(description['name'], 'throttle')
        self.assertEqual(description['class'], 'qos')
        self.assertEqual(description['abi_version'], 1)
        self.assertEqual([p['name'] for p in description['properties']],
                         ['iops', 'bytes_per_second', 'burst'])
        burst = description['properties'][2]
        self.assertEqual(burst['type'], 'duration')
        self.assertEqual(burst['default'], 100000000)
        self.assertIs(burst['online'], True)

    def test_what_is_no_filter_is_not_described(self):
        done = self.run_disk('--describe-filter', library('no-filter'))
        self.assertEqual(done.returncode, 1)
        self.assertIn("isn't a Forebay filter", done.stderr)


if __name__ == '__main__':
    tap.main(at_once=3)
