# SPDX-License-Identifier: Apache-2.0
"""kill -9 of a host's processes, again and again, under loads that check.

    loop = KillLoop(root, seed, say)
    loop.start()
    loop.round(40)           kills forebay-disk processes 40 times
    loop.finish()            the images alone must hold everything
    loop.stop()

The host has a disk of each cache mode, and each disk has two loads at a time:
forebay bench on its vhost-user-blk socket and another on its NBD socket, each
on a part of the disk of its own, with a journal for the part. A load keeps its
requests over the kills, as a VM does, and reads back all that it has written
when its round ends. The next round takes up the journals with the exports
swapped, so that what one export has acknowledged is read through the other.
Between rounds the images are compared with the journals by a server that isn't
Forebay's: of a disk that writes through or around while it is open, of every
disk once it is closed.
"""

import collections
import json
import os
import random
import shutil
import signal
import subprocess
import time

from forebay import find_program, Host
from spawn import Process, die_with_parent, wait_until

MIB = 1 << 20
DISK_BYTES = 64 * MIB
# As large as the disk: the log wraps around, and takes all of it.
CACHE = {'limit': '64MiB', 'max_dirty_age': '1s'}
DISKS = {'back': 'write-back', 'through': 'write-through',
         'around': 'write-around'}
ON_BACKEND_WHEN_ACKED = ('through', 'around')
# Offset, length and block size of what a load has of its disk.
PARTS = {'blocks': (0, 40 * MIB, 4096), 'sectors': (40 * MIB, 4 * MIB, 512)}
EXPORTS = ('vhost-user-blk', 'nbd')
MIX = ('--read', 40, '--flush', 2, '--write-zeroes', 2, '--discard', 2,
       '--depth', 16, '--queues', 2)
QUEUES = 2
# Requests a second, one for each load in each round. A load without a limit
# keeps its queues full; many of those would leave no time for restarts.
RATES = (None, 2000, 500, 500)

# forebayd gives up a process that keeps dying within its first second.
SETTLED_SECONDS = 1.5
QUICK_MAX = 3
PAUSE_SECONDS = 0.5
SERVED_SECONDS = 120
LOAD_END_SECONDS = 300


class Failed(Exception):
    """A load that found something wrong, in its words."""


class Part:
    """A range of a disk, and the journal of what it must hold."""

    def __init__(self, root, disk, name, geometry=None):
        self.disk = disk
        self.name = name
        offset, span, block_bytes = geometry or PARTS[name]
        self.words = ['--journal', os.path.join(root, f'{disk}-{name}'),
                      '--offset', offset, '--span', span, '--block-size',
                      block_bytes, '-o', 'json']
        self.export = ''
        self.popen = None

    def __str__(self):
        return f'{self.disk}, {self.name}, {self.export}'

    def begin(self, program, address, *words):
        self.popen = subprocess.Popen(
            [str(word) for word in (program, 'bench', *address, *self.words,
                                    *words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.PIPE, preexec_fn=die_with_parent)

    def check(self):
        """Raises if the load has ended, which it doesn't by itself."""
        if self.popen.poll() is not None:
            self.end()
            raise Failed(f'{self}: ended too early')

    def end(self):
        """Returns what the load reports."""
        try:
            text, errors = self.popen.communicate(timeout=LOAD_END_SECONDS)
        except subprocess.TimeoutExpired as stuck:
            raise Failed(f'{self}: stuck; requests are not answered, or '
                         'nobody serves') from stuck
        if self.popen.returncode != 0:
            raise Failed(f'{self}: {errors.strip()}\n{text}')
        return json.loads(text)

    def kill(self):
        if self.popen and self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


class KillLoop:
    """@say gets a line about every kill."""

    def __init__(self, root, seed, say=print):
        self.root = root
        self.random = random.Random(seed)
        self.say = say
        self.host = Host(root)
        self.forebay = find_program(self.host.prefix, 'forebay')
        self.parts = [Part(root, disk, name) for disk in DISKS
                      for name in PARTS]
        self.rounds = 0
        self.kills = collections.Counter()  # by program
        self.ways = collections.Counter()
        self.requests = collections.Counter()  # by kind, of all loads
        self.reconnects = collections.Counter()  # by export
        self.checked_blocks = 0
        self.killed_at = collections.Counter()  # by victim
        self.quick = collections.Counter()  # too soon, in a row, by victim

    def image(self, disk):
        return os.path.join(self.root, disk + '.raw')

    def start(self):
        self.host.start()
        pool = os.path.join(self.root, 'pool')
        os.mkdir(pool)
        self.host.cli('pool', 'create', 'ssd', pool)
        for disk, mode in DISKS.items():
            self.host.policy(disk, ('cache', {'mode': mode, **CACHE}))
            self.host.cli('disk', 'create', disk, '--backend',
                          'file:' + self.image(disk), '--size', DISK_BYTES,
                          '--policy', disk, '--queues', QUEUES)
            self.host.cli('disk', 'open', disk)

    def stop(self):
        for part in self.parts:
            part.kill()
        self.host.stop()

    # ---- loads ---------------------------------------------------------

    def begin_loads(self):
        """The exports' parts are swapped each time."""
        for number, part in enumerate(self.parts):
            part.export = EXPORTS[(number + self.rounds) % 2]
            export = self.host.disk(part.disk)['exports'][part.export]
            address = (['--nbd', export['uri']] if part.export == 'nbd' else
                       ['--vhost-user', export['socket']])
            if part.export != 'nbd' and self.random.random() < 0.5:
                address.append('--packed')
            rate = self.random.choice(RATES)
            if rate:
                address += ['--rate', rate]
            part.begin(self.forebay, address, *MIX, '--destroy-data',
                       '--seconds', 1e6, '--reconnect', SERVED_SECONDS,
                       '--seed', self.random.randrange(1 << 30))

    def end_loads(self):
        for part in self.parts:
            part.popen.send_signal(signal.SIGINT)
        for part in self.parts:
            report = part.end()
            for kind, requests in report['requests'].items():
                self.requests[kind] += requests['count']
            self.reconnects[part.export] += report['reconnects']
            self.checked_blocks += report['verify']['read_back_blocks']

    # ---- kills ---------------------------------------------------------

    def shoot(self, program, pid):
        os.kill(pid, signal.SIGKILL)
        self.kills[program] += 1

    def shoot_disk(self, disk):
        """Returns the pid that is no more."""
        pid = self.host.disk(disk)['pid']
        self.shoot('forebay-disk', pid)
        return pid

    def await_served(self, disk, *gone):
        def served():
            now = self.host.disk(disk)
            return now['state'] == 'open' and now['pid'] not in (None, *gone)
        wait_until(served, SERVED_SECONDS,
                   f'another forebay-disk serves {disk}')

    def await_cached(self, gone):
        def runs():
            cached = self.host.json('status')['cached']
            return (cached['state'] == 'running'
                    and cached['pid'] not in (None, gone))
        wait_until(runs, SERVED_SECONDS, 'another forebay-cached runs')

    def kill_disk(self, disk):
        self.await_served(disk, self.shoot_disk(disk))

    def kill_heir(self, disk):
        """A second time while the successor starts, recovers or serves."""
        old = self.shoot_disk(disk)
        heir = wait_until(
            lambda: ({self.host.disk(disk)['pid']} - {None, old}),
            SERVED_SECONDS, 'a successor starts').pop()
        time.sleep(self.random.uniform(0, 0.1))
        self.shoot('forebay-disk', heir)
        self.await_served(disk, old, heir)

    def kill_cached(self, _disk):
        pid = self.host.cached_pid()
        self.shoot('forebay-cached', pid)
        self.await_cached(pid)

    def kill_both(self, disk):
        """At once: neither has the other to lean on."""
        pids = self.host.cached_pid(), self.shoot_disk(disk)
        self.shoot('forebay-cached', pids[0])
        self.await_cached(pids[0])
        self.await_served(disk, pids[1])

    def kill_daemon(self, disk):
        """The disk's process dies while nobody is there to start another."""
        pid = self.host.disk(disk)['pid']
        self.host.kill_daemon()
        self.kills['forebayd'] += 1
        time.sleep(self.random.uniform(0, 0.2))
        self.shoot('forebay-disk', pid)
        self.host.start()
        self.await_served(disk, pid)

    def victim(self):
        """Mostly one whose last restart has proved itself by now."""
        disk = self.random.choice(list(DISKS))
        age = time.monotonic() - self.killed_at[disk]
        if age > SETTLED_SECONDS:
            self.quick[disk] = 0
        elif self.quick[disk] < QUICK_MAX and self.random.random() < 0.3:
            self.quick[disk] += 1
        else:
            time.sleep(SETTLED_SECONDS - age)
            self.quick[disk] = 0
        return disk

    def kill(self):
        ways = {self.kill_disk: 12, self.kill_heir: 4, self.kill_both: 1,
                self.kill_cached: 1, self.kill_daemon: 1}
        disk = self.victim()
        way = self.random.choices(list(ways), ways.values())[0]
        name = way.__name__[len('kill_'):]
        self.say(f'round {self.rounds + 1}, {self.kills["forebay-disk"]} '
                 f'kills; next: {name}, {disk}')
        self.ways[name] += 1
        way(disk)
        self.killed_at[disk] = time.monotonic()

    # ---- images --------------------------------------------------------

    def check_image(self, disk):
        """nbdkit and the journals, without any of our servers."""
        socket = os.path.join(self.root, 'image.sock')
        server = Process([shutil.which('nbdkit'), '-r', '-f', '-U', socket,
                          'file', self.image(disk)],
                         os.path.join(self.root, 'nbdkit.log'))
        try:
            server.wait_for_file(socket)
            for part in self.parts:
                if part.disk != disk:
                    continue
                part.export = 'image'
                part.begin(self.forebay,
                           ['--nbd', f'nbd+unix:///?socket={socket}'],
                           '--seconds', 0, '--depth', 16)
                report = part.end()
                self.checked_blocks += report['verify']['read_back_blocks']
        finally:
            server.stop()
            os.unlink(socket)

    def close(self):
        for disk in DISKS:
            self.host.cli('disk', 'close', disk, seconds=SERVED_SECONDS)
            self.check_image(disk)

    # ---- all of it -----------------------------------------------------

    def round(self, kills):
        """Ends when so many processes of disks have been killed."""
        if self.rounds > 0 and self.rounds % 2 == 0:
            self.close()
            for disk in DISKS:
                self.host.cli('disk', 'open', disk)
        self.begin_loads()
        end = self.kills['forebay-disk'] + kills
        while self.kills['forebay-disk'] < end:
            time.sleep(self.random.uniform(0, PAUSE_SECONDS))
            for part in self.parts:
                part.check()
            self.kill()
        self.end_loads()
        for disk in ON_BACKEND_WHEN_ACKED:
            self.check_image(disk)
        self.rounds += 1

    def finish(self):
        self.close()
