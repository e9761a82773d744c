# SPDX-License-Identifier: Apache-2.0
"""Whose a backend is, and whether it is still the one that was cached.

Two hosts on one machine share images. A host "dies" when every process of it is
killed; its cache stays in its pool, as after a power failure.
"""

import glob
import os
import shutil
import signal
import subprocess
import threading
import unittest

import nbd

import tap
from forebay import Host
from spawn import Process, folder, wait_until

KIB = 1 << 10
MIB = 1 << 20
SIZE_MIB = 16


class Place:
    """A host with a pool and its policies."""

    def __init__(self, test):
        self.work = folder(test)
        self.host = Host(self.work)
        test.addCleanup(self.host.stop)
        test.addCleanup(lambda: print(self.host.logs()))
        self.host.start()
        self.pool = os.path.join(self.work, 'pool')
        os.mkdir(self.pool)
        self.host.cli('pool', 'create', 'ssd', self.pool)
        for mode in ('write-back', 'write-through'):
            self.host.policy(mode, ('cache', {'mode': mode, 'limit': '64MiB',
                                              'max_dirty_age': '1h'}))

    @property
    def id(self):
        with open(os.path.join(self.work, 'lib/host-id'),
                  encoding='utf-8') as file:
            return file.read().strip()

    def open(self, *words):
        return self.host.cli('disk', 'open', 'd1', *words)

    def close(self):
        return self.host.cli('disk', 'close', 'd1')

    def refused(self, *words):
        done = self.host.try_cli('disk', 'open', 'd1', *words)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def connected(self):
        handle = nbd.NBD()
        handle.connect_uri(self.host.disk('d1')['exports']['nbd']['uri'])
        return handle

    def write(self, letter, at=0, count=64 * KIB):
        """Acknowledged and flushed: on this host's SSD."""
        handle = self.connected()
        handle.pwrite(letter.encode() * count, at)
        handle.flush()
        handle.shutdown()

    def read(self, at=0, count=64 * KIB):
        """The letter that is everywhere in the range."""
        handle = self.connected()
        letters = set(handle.pread(count, at).decode())
        handle.shutdown()
        assert len(letters) == 1, letters
        return letters.pop()

    def wait_state(self, state):
        wait_until(lambda: self.host.disk('d1')['state'] == state, 60,
                   f'the disk is {state}')

    def die(self):
        self.host.stop()

    def forgotten(self):
        return self.host.cache_status('d1')['forgotten_bytes']

    def stopped_without_drain(self):
        """Its process ended in order, and so did forebayd, before it could
        start another one."""
        pid = self.host.disk('d1')['pid']
        self.host.kill_daemon()
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not os.path.exists(f'/proc/{pid}'), 30,
                   'the process ends')
        self.host.stop()


class Marker(unittest.TestCase):

    def setUp(self):
        self.shared = folder(self)
        self.image = os.path.join(self.shared, 'disk.raw')
        self.places = []

    def place(self):
        place = Place(self)
        self.places.append(place)
        return place

    def create(self, place, policy='write-back'):
        known = (['--id', self.places[0].host.disk('d1')['id']]
                 if place is not self.places[0] else [])
        place.host.cli('disk', 'create', 'd1', '--backend',
                       f'file:{self.image}', '--size', f'{SIZE_MIB}MiB',
                       '--policy', policy, *known)

    def two(self, policy='write-back'):
        here, there = self.place(), self.place()
        self.create(here, policy)
        self.create(there, policy)
        return here, there

    def qemu_io(self, command):
        subprocess.run(['qemu-io', '-f', 'raw', '-c', command, self.image],
                       check=True, capture_output=True, timeout=60)

    def test_nobody_takes_what_a_dead_hosts_cache_holds(self):
        here, there = self.two()
        here.open()
        here.write('a')
        here.die()
        words = there.refused()
        self.assertIn(here.id, words)
        self.assertIn('--discard-dirty', words)
        here.host.start()
        self.assertEqual(here.read(), 'a')
        here.close()
        there.open()
        self.assertEqual(there.read(), 'a')

    def test_a_write_through_disk_needs_nobody_to_come_back(self):
        here, there = self.two('write-through')
        here.open()
        here.write('a')
        here.die()
        there.open()
        self.assertEqual(there.read(), 'a')
        there.write('b')
        there.close()
        here.host.start()
        here.wait_state('open')
        self.assertEqual(here.read(), 'b')

    def test_what_was_given_up_is_named_and_does_not_come_back(self):
        here, there = self.two()
        here.open()
        here.write('a')
        here.die()
        output = there.open('--discard-dirty')
        self.assertIn('what the cache of host', output)
        there.write('b')
        there.close()
        here.host.start()
        here.wait_state('failed')
        reason = here.host.disk('d1')['reason']
        self.assertIn('diverged: it holds 65536 bytes', reason)
        self.assertIn('opened elsewhere', reason)
        answer = here.host.json('disk', 'open', 'd1', '--discard-dirty')
        self.assertGreaterEqual(answer['discarded']['dirty_bytes_at_most'],
                                64 * KIB)
        self.assertEqual(here.read(), 'b')

    def test_a_disk_that_was_elsewhere_forgets_its_clean_copies(self):
        here, there = self.two()
        here.open()
        here.write('a')
        here.close()
        there.open()
        there.write('b')
        there.close()
        here.open()
        self.assertEqual(here.read(), 'b')
        self.assertGreaterEqual(here.forgotten(), 64 * KIB)
        # It was nowhere else now: what is cached stays.
        here.close()
        here.open()
        self.assertEqual(here.forgotten(), 0)
        self.assertEqual(here.read(), 'b')

    def test_a_change_behind_a_closed_disk_is_seen(self):
        here = self.place()
        self.create(here)
        here.open()
        here.write('a')
        here.close()
        self.qemu_io('write -P 98 0 64k')
        here.open()
        self.assertEqual(here.read(), 'b')
        self.assertGreater(here.forgotten(), 0)

    def test_an_older_copy_that_was_restored_is_seen(self):
        here = self.place()
        self.create(here)
        here.open()
        here.write('a')
        here.close()
        shutil.copy(self.image, self.image + '.backup')
        here.open()
        here.write('b')
        here.close()
        shutil.copy2(self.image + '.backup', self.image)
        here.open()
        self.assertEqual(here.read(), 'a')

    def test_a_change_under_dirty_data_is_refused(self):
        here = self.place()
        self.create(here)
        here.open()
        here.write('a')
        here.stopped_without_drain()
        self.qemu_io('write -P 98 0 64k')
        here.host.start()
        here.wait_state('failed')
        reason = here.host.disk('d1')['reason']
        self.assertIn('diverged: it holds 65536 bytes', reason)
        self.assertIn('written while the disk was closed', reason)
        self.assertIn('discarded', here.host.json('disk', 'open', 'd1',
                                                  '--discard-dirty'))
        self.assertEqual(here.read(), 'b')

    def test_an_older_copy_under_dirty_data_is_refused(self):
        here = self.place()
        self.create(here)
        shutil.copy(self.image, self.image + '.backup')
        here.open()
        here.write('a')
        here.stopped_without_drain()
        os.rename(self.image + '.backup', self.image)
        here.host.start()
        here.wait_state('failed')
        self.assertIn('diverged', here.host.disk('d1')['reason'])

    def test_dirty_data_over_an_untouched_image_goes_on(self):
        here = self.place()
        self.create(here)
        here.open()
        here.write('a')
        here.stopped_without_drain()
        # Not what it holds.
        os.chmod(self.image, 0o640)
        here.host.start()
        here.wait_state('open')
        self.assertEqual(here.read(), 'a')

    def test_a_cache_that_is_gone_is_missed(self):
        here = self.place()
        self.create(here)
        here.open()
        here.write('a')
        here.die()
        for path in glob.glob(here.pool + '/*/*'):
            if os.path.isfile(path):
                os.unlink(path)
        here.host.start()
        here.wait_state('failed')
        self.assertIn('diverged', here.host.disk('d1')['reason'])
        here.open('--discard-dirty')
        self.assertEqual(here.read(), '\0')

    def test_a_disk_that_is_closed_in_the_background_is_whole_then(self):
        here = self.place()
        self.create(here)
        here.open()
        here.write('a', count=8 * MIB)
        output = here.host.cli('disk', 'close', 'd1', '--background')
        self.assertIn('what is dirty is brought to', output)
        # Another close waits for that.
        self.assertIn('everything is on', here.close())
        self.assertEqual(here.host.disk('d1')['dirty_bytes'], 0)
        with open(self.image, 'rb') as file:
            self.assertEqual(file.read(8 * MIB), b'a' * 8 * MIB)

    def test_a_dirty_image_is_not_for_plain_qemu_img(self):
        here = self.place()
        self.create(here)
        here.open()
        here.write('a')
        self.refuse_convert()
        here.close()
        subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'raw',
                        self.image, self.image + '.copy'], check=True,
                       timeout=60)
        with open(self.image + '.copy', 'rb') as file:
            self.assertEqual(file.read(64 * KIB), b'a' * 64 * KIB)

    def test_a_closed_dirty_disk_is_held_and_drained_when_that_is_possible(
            self):
        """The image's file system is full, and its process died."""
        if os.geteuid() != 0 or subprocess.run(
                ['mount', '-t', 'tmpfs', '-o', 'size=1m,mode=711', 'tmpfs',
                 self.shared], check=False).returncode != 0:
            self.skipTest('mounting a small tmpfs needs root')
        self.addCleanup(subprocess.run, ['umount', '-l', self.shared],
                        check=True)
        here = self.place()
        self.create(here)
        here.open()
        here.write('a', count=4 * MIB)
        pid = here.host.disk('d1')['pid']
        os.kill(pid, signal.SIGSTOP)
        closing = threading.Thread(target=here.host.try_cli,
                                   args=('disk', 'close', 'd1'))
        closing.start()
        here.wait_state('closing')
        os.kill(pid, signal.SIGKILL)
        self.wait_draining(here, 4 * MIB)
        self.assertNotEqual(here.host.disk('d1')['pid'], pid)
        self.refuse_convert()
        # Also after a reboot.
        here.host.daemon.kill()
        closing.join()
        here.die()
        here.host.start()
        self.wait_draining(here, 4 * MIB)
        self.refuse_convert()
        subprocess.run(['mount', '-o', 'remount,size=64m', self.shared],
                       check=True)
        here.wait_state('closed')
        self.assertEqual(here.host.disk('d1')['dirty_bytes'], 0)
        with open(self.image, 'rb') as file:
            self.assertEqual(file.read(4 * MIB), b'a' * 4 * MIB)

    def wait_draining(self, place, dirty_bytes):
        def draining():
            disk = place.host.disk('d1')
            return (disk['state'] == 'draining'
                    and disk['dirty_bytes'] == dirty_bytes)
        wait_until(draining, 60, 'a process drains the disk')

    def refuse_convert(self):
        done = subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'raw',
                               self.image, '/dev/null'], check=False,
                              capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('lock', done.stderr)

    def test_the_image_takes_its_sidecar_along(self):
        here = self.place()
        self.create(here)
        self.assertEqual(here.host.disk('d1')['sidecar'],
                         self.image + '.forebay')
        here.open()
        self.assertTrue(os.path.exists(self.image + '.forebay/state'))
        here.close()
        here.host.cli('disk', 'delete', 'd1', '--delete-backend')
        self.assertEqual(os.listdir(self.shared), [])


class Server(unittest.TestCase):
    """Backends that nothing can lie beside."""

    def setUp(self):
        self.shared = folder(self)
        self.socket = os.path.join(self.shared, 'nbd')
        self.server = Process(['nbdkit', '-f', '-U', self.socket, 'memory',
                               f'{SIZE_MIB}M'],
                              os.path.join(self.shared, 'log'))
        self.addCleanup(self.server.stop)
        self.server.wait_for_file(self.socket)
        self.backend = f'nbd+unix:///?socket={self.socket}'

    def create(self, place, *words):
        place.host.cli('disk', 'create', 'd1', '--backend', self.backend,
                       '--policy', 'write-back', *words)

    def write_behind(self, letter):
        handle = nbd.NBD()
        handle.connect_unix(self.socket)
        handle.pwrite(letter.encode() * 64 * KIB, 0)
        handle.flush()
        handle.shutdown()

    def test_two_hosts_with_one_sidecar_see_each_other(self):
        here, there = Place(self), Place(self)
        directory = os.path.join(self.shared, 'sidecars')
        os.mkdir(directory)
        self.create(here, '--sidecar', directory)
        disk = here.host.disk('d1')
        self.assertEqual(disk['sidecar'], f'{directory}/{disk["id"]}')
        self.create(there, '--sidecar', directory, '--id', disk['id'])
        here.open()
        here.write('a')
        # Neither while it is open there, nor when that host has died.
        self.assertIn('another opener', there.refused())
        here.die()
        self.assertIn(here.id, there.refused())
        here.host.start()
        here.wait_state('open')
        here.close()
        there.open()
        self.assertEqual(there.read(), 'a')
        there.write('b')
        there.close()
        here.open()
        self.assertEqual(here.read(), 'b')

    def test_a_change_that_cannot_be_seen_is_told_by_the_operator(self):
        here = Place(self)
        self.create(here)
        self.assertEqual(os.path.dirname(here.host.disk('d1')['sidecar']),
                         os.path.join(here.work, 'lib/sidecars'))
        here.open()
        here.write('a')
        self.assertIn('is open', here.refused('--drop-clean'))
        here.close()
        self.write_behind('b')
        here.open()
        self.assertEqual(here.read(), 'a')
        here.close()
        here.open('--drop-clean')
        self.assertEqual(here.read(), 'b')

    def test_a_sidecar_must_be_a_directory(self):
        here = Place(self)
        done = here.host.try_cli('disk', 'create', 'd1', '--backend',
                                 self.backend, '--sidecar',
                                 self.shared + '/none')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('not an existing directory', done.stderr)


if __name__ == '__main__':
    tap.main(at_once=4)
