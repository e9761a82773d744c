# SPDX-License-Identifier: Apache-2.0
"""Lifecycle events of a real forebay-disk: who is told what, and when."""

import json
import os
import re
import struct
import unittest

import spawn
import tap
from disk_process import MIB, SECONDS, Disk, Refused, filter_entry
from traveller import Traveller

SIZE = 16 * MIB
LARGER = 24 * MIB
TOLD = re.compile(r'(event-\w+): event (.+)')
# Offsets in the guest's memory.
AVAIL, HEADER, DATA, STATUS = 4096, 12288, 16384, 20480
NEXT, WRITABLE = 1, 2


class Scene(unittest.TestCase):

    def start(self, top=None, bottom=None):
        self.disk = Disk(self, [filter_entry('event-top', **(top or {})),
                                filter_entry('event-bottom',
                                             **(bottom or {}))], size=SIZE)
        self.disk.config['events'] = self.disk.path('events')
        self.disk.start_ready()

    def told(self):
        """What the filters say that they were told, in order."""
        return [name[len('event-'):] + ':' + what
                for name, what in TOLD.findall(self.disk.process.output())]

    def told_of(self, *kinds):
        return [line for line in self.told()
                if line.split(':')[1].split('-')[0] in kinds]

    def records(self):
        with open(self.disk.path('events'), encoding='utf-8') as file:
            return [json.loads(line) for line in file if line.strip()]

    def record(self, kind):
        """The only one of its kind."""
        found = [record for record in self.records()
                 if record['kind'] == kind]
        self.assertEqual(len(found), 1, self.records())
        return found[0]

    def wait_record(self, kind):
        spawn.wait_until(
            lambda: any(record['kind'] == kind for record in self.records()),
            SECONDS, f'the end of event {kind}')
        return self.record(kind)


class TestEvents(Scene):

    def test_a_disk_that_grows_asks_and_tells_its_filters(self):
        self.start()
        self.disk.call('resize', size_bytes=LARGER)
        self.assertEqual(
            self.told_of('grow', 'stun', 'unstun', 'close'),
            ['top:grow-pre', 'bottom:grow-pre',
             'top:stun-pre', 'bottom:stun-pre',
             'bottom:stun-post', 'top:stun-post',
             'top:close-pre', 'bottom:close-pre',
             'bottom:grow-post', 'top:grow-post',
             'top:unstun-pre', 'bottom:unstun-pre',
             'bottom:unstun-post', 'top:unstun-post'])
        record = self.record('grow')
        self.assertEqual(record['outcome'], 'done')
        self.assertEqual(record['size_bytes'], LARGER)
        self.assertEqual([(f['filter'], f['phase'], f['outcome'])
                          for f in record['filters']],
                         [('event-top', 'pre', 'done'),
                          ('event-bottom', 'pre', 'done'),
                          ('event-bottom', 'post', 'done'),
                          ('event-top', 'post', 'done')])
        self.assertEqual(self.disk.nbd().get_size(), LARGER)

    def test_a_filter_that_refuses_growth_leaves_all_as_it_was(self):
        self.start(bottom={'refuse': 'grow-pre'})
        client = self.disk.nbd()
        client.pwrite(b'x' * 4096, 0)
        with self.assertRaisesRegex(
                Refused, 'filter event-bottom refuses grow of disk db1: it '
                         'was told to'):
            self.disk.call('resize', size_bytes=LARGER)
        self.assertEqual(self.told_of('grow', 'stun', 'close'),
                         ['top:grow-pre', 'bottom:grow-pre', 'top:grow-undo'])
        self.assertEqual(os.path.getsize(self.disk.image), SIZE)
        self.assertEqual(client.pread(4096, 0), b'x' * 4096)
        record = self.record('grow')
        self.assertEqual(record['outcome'], 'refused')
        self.assertIn('event-bottom', record['reason'])

    def test_growth_that_fails_is_undone(self):
        self.start()
        # Files of all file systems end before that.
        with self.assertRaises(Refused):
            self.disk.call('resize', size_bytes=(1 << 63) - 512)
        self.assertEqual(self.told_of('grow'),
                         ['top:grow-pre', 'bottom:grow-pre',
                          'bottom:grow-undo', 'top:grow-undo'])
        self.assertEqual(self.record('grow')['outcome'], 'undone')

    def test_a_hold_is_a_snapshot(self):
        self.start()
        self.disk.call('action', action='hold 600')
        self.assertEqual(
            self.told_of('snapshot', 'hold'),
            ['top:snapshot-pre', 'bottom:snapshot-pre', 'top:hold',
             'bottom:hold', 'bottom:snapshot-post', 'top:snapshot-post'])
        self.assertEqual(self.record('snapshot')['outcome'], 'done')

    def test_a_filter_can_refuse_a_snapshot(self):
        self.start(top={'refuse': 'snapshot-pre'})
        with self.assertRaisesRegex(Refused, 'event-top refuses snapshot'):
            self.disk.call('action', action='hold 600')
        self.assertNotIn('top:hold', self.told())
        self.assertEqual(self.record('snapshot')['outcome'], 'refused')

    def test_a_hold_that_fails_undoes_the_snapshot(self):
        disk = Disk(self, [filter_entry('event-top'),
                           filter_entry('probe-bottom')], size=SIZE)
        disk.config['events'] = disk.path('events')
        self.disk = disk.start_ready()
        disk.call('action', action='hold 600')
        with self.assertRaises(Refused):
            disk.call('action', action='hold x')
        self.assertEqual(self.told_of('snapshot'),
                         ['top:snapshot-pre', 'top:snapshot-post',
                          'top:snapshot-pre', 'top:snapshot-undo'])

    def test_what_is_known_of_the_vm_reaches_the_filters(self):
        self.start()
        self.disk.call('notify', vm='starting')
        self.disk.call('notify', vm='running')
        self.assertEqual(self.told_of('vm'),
                         ['bottom:vm-post=starting', 'top:vm-post=starting',
                          'bottom:vm-post=running', 'top:vm-post=running'])
        self.assertEqual([record['vm'] for record in self.records()
                          if record['kind'] == 'vm'],
                         ['starting', 'running'])
        with self.assertRaisesRegex(Refused, "'vm' must be"):
            self.disk.call('notify', vm='sleeping')

    def test_properties_are_asked_for_first(self):
        self.start()
        with self.assertRaisesRegex(Refused, 'refuses properties'):
            self.disk.call('set-properties', changes={
                'event-top': {'slow': 'vm-post'},
                'event-bottom': {'refuse': 'properties-pre'}})
        self.assertEqual(self.told_of('properties'),
                         ['top:properties-pre', 'bottom:properties-pre',
                          'top:properties-undo'])
        stats = self.disk.call('stats')
        self.assertEqual(stats['filters'][0]['properties']['slow'], '')
        self.disk.call('set-properties', changes={
            'event-top': {'slow': 'vm-post'}})
        stats = self.disk.call('stats')
        self.assertEqual(stats['filters'][0]['properties']['slow'], 'vm-post')

    def test_a_process_writes_on_behind_a_line_that_was_cut_off(self):
        self.start()
        self.disk.process.kill()
        with open(self.disk.path('events'), 'a', encoding='utf-8') as file:
            file.write('{"kind": "vm", "outco')
        self.disk.start_ready()
        with open(self.disk.path('events'), encoding='utf-8') as file:
            lines = [line for line in file.read().split('\n') if line]
        self.assertEqual(lines[-2], '{"kind": "vm", "outco')
        self.assertEqual(json.loads(lines[-1])['kind'], 'open')

    def test_a_filter_that_is_late_is_named_and_shown(self):
        self.start(top={'hold': 'vm-post'})
        self.disk.call('notify', vm='running')
        record = self.record('vm')
        self.assertEqual([(f['filter'], f['outcome'])
                          for f in record['filters']],
                         [('event-bottom', 'done'), ('event-top', 'late')])
        shown = self.disk.call('stats')['filters'][0]['event']
        self.assertEqual((shown['kind'], shown['stuck']), ('vm', True))
        self.disk.call('action', filter='event-top', action='end')
        self.assertIsNone(self.disk.call('stats')['filters'][0]['event'])


class TestAttach(Scene):

    def open_with(self, *names, **properties):
        """The same disk with other filters."""
        self.disk.config['filters'] = [
            filter_entry(name, **properties.get(name[len('event-'):], {}))
            for name in names]
        os.truncate(self.disk.path('log'), 0)
        return self.disk.start_ready()

    def close(self):
        self.disk.call('close', drain=True)
        self.disk.process.wait(SECONDS)

    def attachments(self):
        return [(record['kind'], record['name']) for record in self.records()
                if record['kind'] in ('attach', 'detach')]

    def test_a_filter_is_attached_once(self):
        self.start()
        self.assertEqual(
            self.told()[:5],
            ['top:attach-pre=event-top event-bottom',
             'bottom:attach-pre=event-top event-bottom',
             'bottom:attach-post=event-top event-bottom',
             'top:attach-post=event-top event-bottom',
             'bottom:open-post'])
        self.close()
        self.open_with('event-top', 'event-bottom')
        self.assertEqual(self.told_of('attach'), [])
        self.assertEqual(self.attachments(),
                         [('attach', 'event-top event-bottom')])

    def test_only_the_new_filter_is_told(self):
        self.start()
        self.close()
        self.open_with('event-top', 'event-middle', 'event-bottom')
        self.assertEqual(self.told_of('attach'),
                         ['middle:attach-pre=event-middle',
                          'middle:attach-post=event-middle'])

    def test_a_filter_that_is_gone_is_noticed_and_comes_back_as_new(self):
        self.start()
        self.close()
        self.open_with('event-top')
        self.assertEqual(self.told_of('attach', 'detach'), [])
        self.close()
        self.open_with('event-top', 'event-bottom')
        self.assertEqual(self.attachments(),
                         [('attach', 'event-top event-bottom'),
                          ('detach', 'event-bottom'),
                          ('attach', 'event-bottom')])

    def test_a_filter_that_refuses_to_be_attached_keeps_the_disk_closed(self):
        self.start()
        self.close()
        self.disk.config['filters'].insert(1, filter_entry(
            'event-middle', refuse='attach-pre'))
        message = self.disk.start_failing()
        self.assertIn('filter event-middle refuses attach', message)
        self.open_with('event-top', 'event-bottom')
        self.assertEqual(self.told_of('attach'), [])

    def test_who_is_killed_while_it_attaches_attaches_again(self):
        self.start()
        self.close()
        self.disk.config['filters'].insert(1, filter_entry(
            'event-middle', hold='attach-pre'))
        os.truncate(self.disk.path('log'), 0)
        self.disk.start()
        spawn.wait_until(lambda: self.told_of('attach'), SECONDS,
                         'the filter is asked')
        self.disk.process.kill()
        self.open_with('event-top', 'event-middle', 'event-bottom')
        self.assertEqual(self.told_of('attach'),
                         ['middle:attach-pre=event-middle',
                          'middle:attach-post=event-middle'])


class TestMigration(Scene):

    def migrate(self):
        traveller = Traveller(self.disk.path('vhost'))
        self.addCleanup(traveller.close)
        traveller.begin()
        traveller.run()
        return traveller

    def test_a_migration_is_prepared_and_committed(self):
        self.start()
        self.migrate().leave()
        self.assertEqual(
            self.told_of('migrate', 'migration', 'stun', 'close'),
            ['top:migrate-pre', 'bottom:migrate-pre',
             'top:stun-pre', 'bottom:stun-pre',
             'bottom:stun-post', 'top:stun-post',
             'bottom:migrate-post', 'top:migrate-post',
             'top:close-pre', 'bottom:close-pre'])
        self.assertEqual(self.record('migrate')['outcome'], 'done')

    def test_a_vm_that_comes_back_undoes_its_migration(self):
        self.start()
        traveller = self.migrate()
        traveller.leave()
        traveller.come_back()
        spawn.wait_until(lambda: 'top:unstun-post' in self.told(), SECONDS,
                         'the disk serves again')
        self.assertEqual(
            self.told_of('migrate', 'unstun')[4:],
            ['bottom:migrate-undo', 'top:migrate-undo',
             'top:unstun-pre', 'bottom:unstun-pre',
             'bottom:unstun-post', 'top:unstun-post'])
        self.assertEqual([record['outcome'] for record in self.records()
                          if record['kind'] == 'migrate'],
                         ['done', 'undone'])


class TestAbort(Scene):

    def read_once(self, vmm):
        """Puts one read on the queue, which nobody has answered yet."""
        def chain(index, at, length, flags):
            os.pwrite(vmm.memory, struct.pack('<QIHH', at, length, flags,
                                              index + 1), 16 * index)
        os.pwrite(vmm.memory, struct.pack('<IIQ', 0, 0, 0), HEADER)
        chain(0, HEADER, 16, NEXT)
        chain(1, DATA, 4096, NEXT | WRITABLE)
        chain(2, STATUS, 1, WRITABLE)
        os.pwrite(vmm.memory, b'?', STATUS)
        os.pwrite(vmm.memory, struct.pack('<HHH', 0, 1, 0), AVAIL)
        os.eventfd_write(vmm.kick, 1)

    def test_who_stops_the_device_is_not_kept_waiting(self):
        self.start(top={'keep': True})
        vmm = Traveller(self.disk.path('vhost'))
        self.addCleanup(vmm.close)
        vmm.begin()
        vmm.run()
        self.read_once(vmm)
        spawn.wait_until(
            lambda: self.disk.call('stats')['in_flight'] == 1, SECONDS,
            'the filter keeps the read')
        vmm.stop()
        self.assertEqual(os.pread(vmm.memory, 1, STATUS), b'\0')
        self.wait_record('abort')
        self.assertEqual(self.told_of('abort'),
                         ['top:abort-pre', 'top:abort-post'])


if __name__ == '__main__':
    tap.main()
