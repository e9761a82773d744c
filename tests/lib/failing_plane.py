# SPDX-License-Identifier: Apache-2.0
"""A cached disk's processes that die at failpoints, under loads that check.

    plane = FailingPlane(root, seed, say)
    plane.start()
    plane.begin_loads()
    plane.kill_at('used.shown', 3)   and brings it back
    plane.end_loads()                what was acknowledged is there
    plane.finish()                   in the image alone, too

One load comes by vhost-user-blk and one by NBD, each with a part of the disk
and a journal of its own; the next loads change places. How a failpoint is
reached stands in WAYS: by the load alone, or by something that happens to the
disk meanwhile.
"""

import os
import random
import re
import shutil
import signal
import socket
import time

from data_plane import DataPlane, StartFailed
from failpoints import DIE, Failpoints
from forebay import BUILD, find_program
from kill_loop import Failed, Part
from spawn import Process, wait_until
from traveller import Traveller

MIB = 1 << 20
DISK_BYTES = 160 * MIB
GROWTH_BYTES = 64 << 10
# Offset, length and block size; more than the cache holds.
PARTS = {'blocks': (0, 144 * MIB, 4096), 'sectors': (144 * MIB, 8 * MIB, 512)}
CACHE = {'mode': 'write-back', 'limit': '64MiB', 'max_dirty_age': '200ms'}
MIX = ('--read', 30, '--flush', 3, '--write-zeroes', 3, '--discard', 3,
       '--depth', 8, '--rate', 1500)
QUEUES = 2
REACHED_SECONDS = 90
# What a load says that had errors, or was not connected when it ended, and
# found nothing wrong in what it read.
ONLY_FAILED = re.compile(r'\d requests failed|hung up before|'
                         r'vhost-user: Remote I/O error|NBD: nbd_poll: ')
END_SECONDS = 60

# What brings a process to a failpoint, by the first words of its name, the
# first that fits.
WAYS = (
    ('packed.', 'packed'), ('void.', 'withdrawal'),
    ('pool.', 'renew'), ('kept.', 'renew'),
    ('sidecar.opened', 'renew'), ('sidecar.sized', 'renew'),
    ('sidecar.named', 'renew'),
    ('image.', 'resize'), ('resize.', 'resize'),
    ('leaving.', 'travel'), ('arriving.', 'travel'),
    ('disk.quiet', 'close'), ('disk.drained', 'close'),
    ('disk.closed', 'close'), ('disk.answered', 'close'),
    ('engine.clos', 'close'), ('claim.cleared', 'close'),
    ('claim.unlocked', 'close'),
    ('disk.', 'restart'), ('cache.', 'restart'), ('sidecar.', 'restart'),
    ('claim.', 'restart'), ('superblock.', 'restart'),
    ('inflight.resumed', 'reconnect'), ('queue.replayed', 'reconnect'),
    ('', 'load'))


def way_of(name):
    return next(way for start, way in WAYS if name.startswith(start))


class FailingPlane(DataPlane):
    """@say gets a line about every kill."""

    def __init__(self, root, seed, say=print):
        super().__init__(root, DISK_BYTES, CACHE)
        self.random = random.Random(seed)
        self.say = say
        self.failpoints = Failpoints(self.path('failpoints'))
        self.forebay = find_program(self.prefix, 'forebay')
        self.vhost_socket = self.path('vhost')
        self.config['exports']['vhost_user_blk'] = {
            'socket': self.vhost_socket, 'queues': QUEUES}
        self.config['filters'][0]['library'] = os.path.join(
            BUILD, 'tests/failures/cache.so')
        self.write_json('disk.json', self.config)
        self.parts = [Part(root, 'd', name, geometry)
                      for name, geometry in PARTS.items()]
        self.loads = 0
        self.kills = 0
        self.starts = 0
        self.warm = False
        self.killed_in_start = False
        self.checked_blocks = 0

    # ---- processes -----------------------------------------------------

    def spawn(self, name, *words, **options):
        self.starts += 1
        program = name.replace('forebay-', 'failing-')
        return Process([os.path.join(BUILD, 'tests/failures', program),
                        *words], self.path(name + '.log'),
                       env=self.failpoints.environment(), **options)

    def start_disk(self):
        words = ['--warm'] if self.warm else []
        self.disk = self.spawn_ready(
            'forebay-disk', '--config', self.path('disk.json'), *words)
        self.warm = True  # unless it ends otherwise than by SIGKILL

    def start_again(self, start):
        """A start that may meet the failpoint itself."""
        try:
            start()
        except StartFailed:
            if not self.killed_in_start:
                raise
            start()

    def await_ready(self, process, reader):
        self.killed_in_start = False
        try:
            super().await_ready(process, reader)
        except StartFailed:
            self.killed_in_start = process.wait(30) == -signal.SIGKILL
            raise

    def mend(self):
        """Whatever has died is started again."""
        if not self.cached.alive():
            self.expect_killed(self.cached)
            self.start_again(self.start_cached)
        if not self.disk.alive():
            self.expect_killed(self.disk)
            self.start_again(self.start_disk)

    def expect_killed(self, process):
        code = process.wait(30)
        if code not in (-signal.SIGKILL, 0):
            raise Failed(f'{process.argv[0]} ended with {code}:\n'
                         + self.logs())

    # ---- loads ---------------------------------------------------------

    def begin_loads(self, packed=False, exports=('vhost-user-blk', 'nbd')):
        for number, part in enumerate(self.parts):
            part.export = exports[(number + self.loads) % len(exports)]
            address = (['--nbd', self.uri] if part.export == 'nbd' else
                       ['--vhost-user', self.vhost_socket, '--queues', QUEUES])
            if packed and part.export != 'nbd':
                address.append('--packed')
            part.begin(self.forebay, address, *MIX, '--destroy-data',
                       '--seconds', 1e6, '--reconnect', REACHED_SECONDS,
                       '--seed', self.random.randrange(1 << 30))
        self.loads += 1
        # Before anything happens: a journal is of a disk of one size.
        wait_until(lambda: all(self.begun(part) for part in self.parts),
                   END_SECONDS, 'the loads have begun')

    def begun(self, part):
        """It has its journal, and an interrupt ends it in order."""
        part.check()
        with open(f'/proc/{part.popen.pid}/status', encoding='utf-8') as file:
            caught = int(re.search(r'SigCgt:\s*(\w+)', file.read())[1], 16)
        return (caught >> (signal.SIGINT - 1) & 1
                and os.path.exists(self.path('d-' + part.name)))

    def end_loads(self, may_fail=False):
        """@may_fail: requests may have failed, and data still not be wrong."""
        for part in self.parts:
            part.popen.send_signal(signal.SIGINT)
        for part in self.parts:
            try:
                report = part.end()
            except Failed as failed:
                if not may_fail or not ONLY_FAILED.search(str(failed)):
                    raise
                continue
            self.checked_blocks += report['verify']['read_back_blocks']

    def kill_loads(self):
        for part in self.parts:
            part.kill()

    def stop(self):
        self.kill_loads()
        super().stop()

    # ---- ways ----------------------------------------------------------

    def load(self):
        time.sleep(0.01)

    packed = load
    withdrawal = load

    def restart(self):
        self.disk.kill()
        self.start_again(self.start_disk)

    def reconnect(self):
        self.restart()
        time.sleep(0.1)

    def close_and_wait(self):
        """Returns whether it was closed in order."""
        try:
            self.call('close', {'drain': True})
        except (OSError, ValueError):
            pass  # it has died meanwhile, or before it answered
        return self.disk.wait(END_SECONDS) == 0

    def close(self):
        self.close_and_wait()
        self.start_again(self.start_disk)

    def resize(self):
        try:
            self.grow()
        except (OSError, ValueError):
            pass

    def grow(self):
        """The wish is noted before it is told, as forebayd does."""
        self.config['size_bytes'] += GROWTH_BYTES
        self.config['grow'] = True
        self.write_json('disk.json', self.config)
        self.call('resize', {'size_bytes': self.config['size_bytes']})

    def renew(self):
        """All that the next open has to make is taken away."""
        if not self.close_and_wait():
            self.start_again(self.start_disk)
            return
        self.forget_files()
        if self.cached.alive():
            self.cached.kill()
        self.start_again(self.start_cached)
        self.begin_disk()
        self.await_disk()

    def forget_files(self):
        """The sidecar and the cache file of the closed disk."""
        shutil.rmtree(self.image + '.forebay', ignore_errors=True)
        self.delete_file()

    def await_disk(self):
        """Its start may wait for a forebay-cached that dies meanwhile."""
        def up():
            if not self.cached.alive():
                self.start_again(self.start_cached)
            if not self.disk.alive():
                self.expect_killed(self.disk)
                self.begin_disk()
            try:
                return self.call('status')['state'] == 'ready'
            except (OSError, ValueError):
                return False
        wait_until(up, REACHED_SECONDS, 'the disk is ready')

    def delete_file(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.settimeout(END_SECONDS)
            peer.connect(self.path('cached-control'))
            peer.send(('{"id": 1, "method": "disk-delete", "params": '
                       f'{{"uuid": "{self.config["uuid"]}"}}}}').encode())
            try:
                peer.recv(1 << 16)
            except OSError:
                pass

    def travel(self):
        """Its VM leaves and comes back."""
        traveller = None
        try:
            traveller = Traveller(self.vhost_socket)
            traveller.begin()
            traveller.run()
            traveller.leave()
            traveller.come_back()
            wait_until(lambda: self.call('status')['state'] == 'ready',
                       END_SECONDS, 'the VM is back')
        except (OSError, ValueError):
            if self.disk.alive():
                time.sleep(0.02)
        finally:
            if traveller:
                traveller.close()

    # ---- kills ---------------------------------------------------------

    def reach(self, name, way=None):
        """Returns when the failpoint that was armed has been reached."""
        happen = getattr(self, way or way_of(name))
        deadline = time.monotonic() + REACHED_SECONDS
        while not self.failpoints.fired(name):
            if time.monotonic() > deadline:
                raise Failed(f'{name} was not reached in {REACHED_SECONDS} s; '
                             f'{self.failpoints.hits(name)} hits before\n'
                             + self.logs())
            for part in self.parts:
                if part.popen:
                    part.check()
            # One that counted down to its end may have died a little later.
            self.mend()
            happen()

    def kill_at(self, name, nth):
        starts = self.starts
        self.failpoints.arm(name, nth, DIE)
        self.reach(name)
        # It has counted down to its end and dies in a moment, or somebody
        # has been started since.
        wait_until(lambda: self.starts > starts or not self.disk.alive()
                   or not self.cached.alive(), END_SECONDS,
                   'whoever was to die is dead')
        self.kills += 1
        self.say(f'killed at {name}, {nth}')
        self.mend()

    # ---- images --------------------------------------------------------

    def finish(self):
        """The image alone holds everything."""
        self.call('close', {'drain': True})
        if self.disk.wait(END_SECONDS) != 0:
            raise Failed('the close failed\n' + self.logs())
        os.truncate(self.image, DISK_BYTES)
        path = self.path('image.sock')
        server = Process([shutil.which('nbdkit'), '-r', '-f', '-U', path,
                          'file', self.image], self.path('nbdkit.log'))
        try:
            server.wait_for_file(path)
            for part in self.parts:
                part.export = 'image'
                part.begin(self.forebay,
                           ['--nbd', f'nbd+unix:///?socket={path}'],
                           '--seconds', 0, '--depth', 16)
                report = part.end()
                self.checked_blocks += report['verify']['read_back_blocks']
        finally:
            server.stop()
            os.unlink(path)
