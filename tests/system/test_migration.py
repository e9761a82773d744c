# SPDX-License-Identifier: Apache-2.0
"""A guest moves between two QEMUs, its disk between two hosts.

The workload verifies what it reads and moves with the guest: what it knows of
the disk is in the guest's memory. So one run of it covers both hosts and the
moment between.
"""

import hashlib
import os
import signal
import unittest

import tap
from forebay import Host
from guest import Guest
from spawn import folder, wait_until
from witness import again_if_void, assert_verified

MIB = 1 << 20
SIZE_MIB = 256
REGION_MIB = 64
SECONDS = 120
MOVED_REQUESTS = 2000


class Place:
    """A host, and the QEMU that runs there now."""

    def __init__(self, test):
        self.test = test
        self.work = folder(test)
        self.host = Host(self.work)
        test.addCleanup(self.host.stop)
        test.addCleanup(lambda: print(self.host.logs()))
        self.host.start()
        self.guest = None

    def disk(self):
        return self.host.disk('d1')

    def state(self):
        return self.disk()['state']

    def wait_state(self, state):
        wait_until(lambda: self.state() == state, SECONDS,
                   f'the disk is {state}')

    def new_guest(self):
        socket = self.disk()['exports']['vhost-user-blk']['socket']
        self.guest = Guest(folder(self.test), [socket],
                           os.environ['GUEST_VERIFY'],
                           disk_options=self.test.disk_options)
        self.test.addCleanup(self.guest.stop)
        self.test.addCleanup(lambda guest=self.guest:
                             print(guest.process.output()))
        return self.guest

    def kill_disk(self):
        """Its successor goes on in the same state."""
        before = self.disk()
        os.kill(before['pid'], signal.SIGKILL)

        def succeeded():
            disk = self.disk()
            return (disk['pid'] not in (None, before['pid'])
                    and disk['state'] == before['state'])
        wait_until(succeeded, SECONDS, f'a successor is {before["state"]}')

    def requests(self):
        return sum(entry['count'] for entry in
                   self.host.stats('d1')['requests'].values())


@again_if_void
class Migration(unittest.TestCase):

    disk_options = ''

    def setUp(self):
        self.image = os.path.join(folder(self), 'disk.raw')
        self.here, self.there = Place(self), Place(self)

    def policy(self, place, mode):
        pool = os.path.join(place.work, 'pool')
        os.mkdir(pool)
        place.host.cli('pool', 'create', 'ssd', pool)
        place.host.policy('gold', ('cache', {'mode': mode, 'limit': '64MiB',
                                             'max_dirty_age': '60s'}))
        return ('--policy', 'gold')

    def create(self, mode=None):
        """The disk on both hosts; it is open here, expected there."""
        policy = self.policy(self.here, mode) if mode else ()
        self.here.host.cli('disk', 'create', 'd1', '--backend',
                           f'file:{self.image}', '--size', f'{SIZE_MIB}MiB',
                           *policy)
        disk = self.here.disk()
        policy = self.policy(self.there, mode) if mode else ()
        self.there.host.cli('disk', 'create', 'd1', '--backend',
                            f'file:{self.image}', '--id', disk['id'],
                            '--device-revision', disk['device_revision'],
                            '--queues', disk['queues'], *policy)
        self.here.host.cli('disk', 'open', 'd1')
        self.expect(self.there)

    def expect(self, place):
        place.host.cli('disk', 'open', 'd1', '--incoming')
        self.assertEqual(place.state(), 'incoming')

    def begin_workload(self):
        """Until end_workload()."""
        self.here.new_guest().start()
        self.here.guest.begin(f'guest-verify /dev/vda 0 {REGION_MIB * MIB} '
                              '3600 7 4')
        self.await_requests(self.here, 200)

    def await_requests(self, place, count):
        start = place.requests()
        wait_until(lambda: place.requests() >= start + count, SECONDS,
                   f'{count} more requests complete')

    def end_workload(self, place):
        """It goes on where it is now, then reads back all that it wrote."""
        self.await_requests(place, MOVED_REQUESTS)
        place.guest.interrupt()
        _, output = place.guest.finish(3 * SECONDS)
        assert_verified(self, output)
        self.assertEqual(place.guest.errors(), [])

    def begin_migration(self, source, target, **parameters):
        target.new_guest().launch_target(source.guest)
        source.guest.qmp('migrate-set-parameters',
                         **{'max-bandwidth': 1 << 30, 'downtime-limit': 2000,
                            **parameters})
        source.guest.qmp('migrate', uri=target.guest.migration_uri)

    def status(self, place):
        return place.guest.qmp('query-migrate').get('status')

    def wait_status(self, place, *statuses):
        wait_until(lambda: self.status(place) in statuses, SECONDS,
                   f'the migration is {" or ".join(statuses)}')

    def migrate(self, source, target):
        self.begin_migration(source, target)
        self.wait_status(source, 'completed', 'failed')
        self.assertEqual(self.status(source), 'completed')
        target.wait_state('open')
        self.assertEqual(source.state(), 'handed-over')

    def wait_mode(self, actual, reason):
        def found():
            mode = self.here.host.cache_status('d1')['mode']
            self.assertEqual(mode['requested'], 'write-back')
            return mode['actual'] == actual and mode['reason'] == reason
        wait_until(found, SECONDS, f'the cache is {actual}: {reason}')

    def dirty_bytes(self):
        return self.here.host.cache_status('d1')['dirty_bytes']

    def stop_before_switchover(self):
        """The VM stands still, its disk has been let go here."""
        self.here.guest.qmp('migrate-set-capabilities', capabilities=[
            {'capability': 'pause-before-switchover', 'state': True}])
        self.begin_migration(self.here, self.there)
        self.wait_status(self.here, 'pre-switchover')
        self.here.wait_state('handed-over')

    def there_and_back(self):
        self.begin_workload()
        self.migrate(self.here, self.there)
        self.await_requests(self.there, 200)
        self.here.guest.stop()
        self.here.host.cli('disk', 'close', 'd1')
        self.expect(self.here)
        self.migrate(self.there, self.here)
        self.end_workload(self.here)

    def test_a_guest_moves_and_comes_back_while_it_writes(self):
        self.create()
        self.there_and_back()

    def test_a_guest_with_packed_virtqueues_moves_and_comes_back(self):
        self.disk_options = ',packed=on'
        self.create()
        self.there_and_back()

    def test_a_disk_with_a_write_through_cache_moves_and_comes_back(self):
        self.create('write-through')
        self.there_and_back()

    def test_what_a_write_back_cache_holds_is_there_before_the_guest_is(self):
        self.create('write-back')
        self.there_and_back()

    def test_a_guest_that_is_saved_goes_on_when_it_is_restored(self):
        self.create('write-back')
        self.begin_workload()
        saved = os.path.join(self.here.work, 'saved')
        before = self.here.guest
        before.qmp('migrate', uri=f'exec:cat > {saved}')
        self.wait_status(self.here, 'completed')
        self.assertEqual(self.here.state(), 'handed-over')
        before.stop()
        # It was nowhere else, so the cache is as good as the image.
        self.here.host.cli('disk', 'close', 'd1')
        self.here.host.cli('disk', 'open', 'd1')
        self.here.new_guest().launch_from(before, f'exec:cat {saved}')
        self.here.wait_state('open')
        self.end_workload(self.here)

    def test_a_guest_that_was_elsewhere_is_served_from_no_old_cache(self):
        """It comes back to a disk that nobody has told, killed or not."""
        self.create('write-through')
        self.begin_workload()
        self.migrate(self.here, self.there)
        self.await_requests(self.there, 200)
        self.here.guest.stop()
        self.here.kill_disk()
        self.begin_migration(self.there, self.here)
        self.wait_status(self.there, 'completed')
        wait_until(lambda: '--incoming' in (self.here.disk()['reason'] or ''),
                   SECONDS, 'the disk says what to do')
        self.assertEqual(self.here.state(), 'handed-over')
        self.here.host.cli('disk', 'close', 'd1')
        self.here.host.cli('disk', 'open', 'd1', '--incoming')
        self.here.wait_state('open')
        self.end_workload(self.here)

    def test_a_cancelled_migration_goes_on_here(self):
        self.create('write-back')
        self.begin_workload()
        wait_until(lambda: self.dirty_bytes() > 2 * MIB, SECONDS, 'dirty')
        self.wait_mode('write-back', None)
        self.begin_migration(self.here, self.there, **{'max-bandwidth': MIB})
        self.wait_status(self.here, 'active')
        # Only what is on its way is dirty, long before the guest must stop.
        self.wait_mode('write-through', 'migrating')
        self.assertLess(self.dirty_bytes(), MIB)
        self.await_requests(self.here, 200)
        self.here.guest.qmp('migrate_cancel')
        self.wait_status(self.here, 'cancelled')
        self.wait_mode('write-back', None)
        self.await_requests(self.here, 200)
        self.assertEqual(self.there.state(), 'incoming')
        # And then it does move.
        self.there.guest.stop()
        self.migrate(self.here, self.there)
        self.end_workload(self.there)

    def test_a_migration_cancelled_at_the_last_moment_comes_back(self):
        self.create('write-back')
        self.begin_workload()
        self.stop_before_switchover()
        self.here.guest.qmp('migrate_cancel')
        self.wait_status(self.here, 'cancelled')
        self.here.wait_state('open')
        self.end_workload(self.here)
        self.assertEqual(self.there.state(), 'incoming')

    def test_a_target_that_dies_leaves_the_guest_here(self):
        self.create('write-through')
        self.begin_workload()
        self.stop_before_switchover()
        self.there.guest.stop()
        self.here.guest.qmp('migrate-continue', state='pre-switchover')
        self.wait_status(self.here, 'failed')
        self.here.wait_state('open')
        self.end_workload(self.here)

    def test_a_source_that_dies_changes_nothing_for_who_has_left(self):
        self.create('write-through')
        self.begin_workload()
        self.migrate(self.here, self.there)
        self.here.guest.stop()
        self.here.kill_disk()
        self.end_workload(self.there)
        self.there.host.cli('disk', 'restart', 'd1')
        self.assertEqual(self.there.state(), 'open')

    def test_a_guest_waits_for_what_a_dead_source_holds(self):
        """Its host dies with the only copy, and the guest moves on."""
        self.create('write-back')
        self.here.new_guest().start()
        self.here.guest.must('yes forebay | dd of=/dev/vda bs=1M count=2 '
                             'iflag=fullblock conv=fsync 2>/dev/null')
        self.assertGreaterEqual(self.dirty_bytes(), 2 * MIB)
        pid = self.here.disk()['pid']
        self.here.host.kill_daemon()
        os.kill(pid, signal.SIGKILL)
        self.begin_migration(self.here, self.there)
        self.wait_status(self.here, 'completed')
        self.here.guest.stop()
        wait_until(lambda: 'may hold data' in (self.there.disk()['reason']
                                               or ''),
                   SECONDS, 'the target says whom it waits for')
        with open(os.path.join(self.here.work, 'lib/host-id'),
                  encoding='utf-8') as file:
            self.assertIn(file.read(), self.there.disk()['reason'])
        self.assertEqual(self.there.state(), 'incoming')
        self.there.guest.begin('echo 3 > /proc/sys/vm/drop_caches; '
                               'head -c 2097152 /dev/vda | md5sum')
        self.here.host.start()
        self.here.wait_state('open')
        self.here.host.cli('disk', 'close', 'd1')
        self.there.wait_state('open')
        status, output = self.there.guest.finish(120)
        self.assertEqual(status, 0)
        known = b'forebay\n' * (2 * MIB // len(b'forebay\n'))
        self.assertIn(hashlib.md5(known).hexdigest(), output)

    def test_a_guest_moves_although_its_disk_is_killed_before_and_after(self):
        """Not the disk that waits: QEMU 7.2 doesn't notice that it was away.
        """
        self.create('write-back')
        self.begin_workload()
        self.begin_migration(self.here, self.there, **{'max-bandwidth': MIB})
        self.wait_status(self.here, 'active')
        self.here.kill_disk()
        self.await_requests(self.here, 200)
        self.here.guest.qmp('migrate-set-parameters',
                            **{'max-bandwidth': 1 << 30})
        self.wait_status(self.here, 'completed')
        self.there.wait_state('open')
        self.there.kill_disk()
        self.end_workload(self.there)


if __name__ == '__main__':
    tap.main()
