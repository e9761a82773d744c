# SPDX-License-Identifier: Apache-2.0
"""./run demo: a guest on a filtered, cached disk whose daemons are killed.

Starts a host of its own under a folder in /tmp, boots a guest on its disk,
kills what can be killed while the guest works, and then proves from the
backend's image alone that every byte arrived. Exits 0 only if all of it held,
and leaves nothing behind but, after a failure, the logs.
"""

import os
import shutil
import signal
import sys
import tempfile
import time

from forebay import BUILD, PREFIX, Host, find_program
from guest import Guest
from image import (ext4_trouble, parse_sha256sum, sha256_of_ext4_files,
                   sha256_of_range)
from spawn import wait_until

MIB = 1 << 20
DISK_MIB = 1024
FILES_MIB = 512
REGION_MIB = 64
WORKLOAD_SECONDS = 15
FILES = ('report', 'photo', 'mailbox', 'database')
TERMINAL = (sys.stdout.isatty() and 'NO_COLOR' not in os.environ
            and os.environ.get('TERM', 'dumb') != 'dumb')


def paint(code, text):
    return f'\033[{code}m{text}\033[0m' if TERMINAL else text


def say(text=''):
    print(text, flush=True)


class Broken(Exception):
    """A promise that did not hold."""


class Step:
    """One line: what is being done, then whether it worked and what came."""

    def __init__(self, text):
        self.text = text
        self.note = ''

    def __enter__(self):
        self.start = time.monotonic()
        if TERMINAL:
            sys.stdout.write(f'  {paint(2, "…")} {self.text}')
            sys.stdout.flush()
        return self

    def __exit__(self, kind, _error, _trace):
        took = time.monotonic() - self.start
        mark = paint(32, '✓') if kind is None else paint(31, '✗')
        line = f'{self.text}{": " if self.note else ""}{self.note}'
        clear = '\r\033[K' if TERMINAL else ''
        say(f'{clear}  {mark} {line:<66} {paint(2, f"{took:7.1f} s")}')


def mib(count):
    return f'{count / MIB:.1f} MiB'


def table(title, rows):
    """A table whose first row is its head; columns as wide as they need."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    say()
    say('  ' + paint(1, title))
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in
                  zip(row[1:], widths[1:])]
        line = '    ' + '   '.join(cells)
        say(paint(2, line) if number == 0 else line)


class Demo:

    def __init__(self, root):
        self.root = root
        self.image = os.path.join(root, 'disk.raw')
        self.host = Host(root, PREFIX)
        self.guest = None
        self.sums = {}
        self.region = None
        self.pause_ms = 0

    def start_host(self):
        with Step('start a host of our own') as step:
            self.host.start()
            step.note = self.root
        with Step('make a pool, a policy and a 1 GiB disk') as step:
            pool = os.path.join(self.root, 'pool')
            os.mkdir(pool)
            self.host.cli('pool', 'create', 'ssd', pool)
            self.host.policy(
                'gold', ('throttle', {'iops': 50000}),
                ('cache', {'mode': 'write-back', 'limit': '512MiB'}))
            self.host.cli('disk', 'create', 'demo', '--backend',
                          f'file:{self.image}', '--size', f'{DISK_MIB}MiB',
                          '--policy', 'gold')
            step.note = 'throttle, write-back cache'
        with Step('open the disk'):
            self.host.cli('disk', 'open', 'demo')

    def boot(self):
        with Step('boot a Linux guest in QEMU') as step:
            exports = self.host.disk('demo')['exports']
            self.guest = Guest(
                self.root, [exports['vhost-user-blk']['socket']],
                os.path.join(BUILD, 'tests', 'guest', 'guest-verify'))
            self.guest.start()
            step.note = 'on vhost-user-blk, 2 queues'

    def write_files(self):
        with Step('guest: make an ext4 file system') as step:
            self.guest.must(f'mkfs.ext4 -q /dev/vda {FILES_MIB}M')
            self.guest.must('mount -t ext4 /dev/vda /mnt')
            step.note = f'{FILES_MIB} MiB'
        with Step('guest: write files and read them back') as step:
            for size, name in enumerate(FILES, 1):
                self.guest.must(f'dd if=/dev/urandom of=/mnt/{name} bs=64k '
                                f'count={size * 48} conv=fsync 2>/dev/null')
            self.guest.must('echo 3 >/proc/sys/vm/drop_caches')
            self.sums = parse_sha256sum(self.guest.must(
                f'cd /mnt; sha256sum {" ".join(FILES)}; cd /'))
            if set(self.sums) != set(FILES):
                raise Broken('the guest could not read its files')
            step.note = f'{len(FILES)} files'

    def requests(self):
        return sum(entry['count'] for entry in
                   self.host.stats('demo')['requests'].values())

    def await_requests(self, count):
        start = self.requests()
        wait_until(lambda: self.requests() >= start + count, 60,
                   'the guest makes progress')

    def work_and_kill(self):
        with Step('guest: begin a random workload that checks itself'):
            self.guest.begin(f'guest-verify /dev/vda {FILES_MIB * MIB} '
                             f'{REGION_MIB * MIB} {WORKLOAD_SECONDS} 7 8')
            self.await_requests(2000)
        with Step('kill -9 forebay-cached') as step:
            self.host.kill_cached()
            step.note = 'replaced; I/O went on'
            self.await_requests(2000)
        with Step('kill -9 forebay-disk') as step:
            self.host.kill_disk('demo')
            self.await_requests(2000)
            step.note = 'replaced; the guest reconnected'
        with Step('guest: finish the workload, read all of it again') as step:
            _, output = self.guest.finish(WORKLOAD_SECONDS + 120)
            if 'VERIFY ok' not in output:
                raise Broken('the guest read back something else: '
                             + output.strip())
            found = dict(word.split('=') for word in output.split()
                         if '=' in word)
            self.pause_ms = int(found['longest_ms'])
            step.note = f'{int(found["reads"]) + int(found["writes"])} ops'
        with Step('guest: look for errors in its kernel log') as step:
            errors = self.guest.errors()
            if errors:
                raise Broken('the guest saw: ' + '; '.join(errors))
            step.note = 'none'

    def show_statistics(self):
        stats = self.host.stats('demo')
        cache = self.host.cache_status('demo')
        rows = [('request', 'count', 'amount', 'p50 µs', 'p99 µs', 'errors')]
        for name in ('read', 'write', 'flush'):
            entry = stats['requests'][name]
            latency = entry['latency_us']
            rows.append((name, str(entry['count']), mib(entry['bytes']),
                         f'{latency["p50"]:.0f}', f'{latency["p99"]:.0f}',
                         str(entry['errors'])))
        table('Since forebay-disk was replaced', rows)
        table('Cache', [
            ('mode', 'hit ratio', 'cached', 'dirty', 'destaged', 'copied *'),
            (cache['mode']['actual'], f'{100 * cache["hit_ratio"]:.1f} %',
             mib(cache['cached_bytes']), mib(cache['dirty_bytes']),
             mib(cache['destaged_bytes']),
             mib(stats['copied_bytes']))])
        say('    ' + paint(2, '* of requests that are not whole 4 KiB blocks; '
                               'others are never copied'))
        say()

    def flush_and_stop(self):
        with Step('guest: unmount, checksum the workload\'s region'):
            self.guest.must('umount /mnt')
            self.region = self.guest.must(
                f'dd if=/dev/vda iflag=direct bs=1M skip={FILES_MIB} '
                f'count={REGION_MIB} 2>/dev/null | sha256sum').split()[0]
        with Step('flush the disk to its backend') as step:
            self.host.cli('disk', 'flush', 'demo')
            dirty = self.host.cache_status('demo')['dirty_bytes']
            step.note = f'{mib(dirty)} dirty'
            if dirty:
                raise Broken('the flush left dirty bytes')
        with Step('stop the guest, close the disk, stop the host'):
            self.guest.power_off()
            self.host.cli('disk', 'close', 'demo')
            self.host.stop()

    def prove(self):
        with Step('image alone: the file system is whole'):
            trouble = ext4_trouble(self.image)
            if trouble:
                raise Broken('e2fsck: ' + trouble)
        with Step('image alone: the files are the guest\'s') as step:
            if sha256_of_ext4_files(self.image, FILES) != self.sums:
                raise Broken('a file in the image differs from the guest\'s')
            step.note = f'{len(FILES)} SHA-256 equal'
        with Step('image alone: the region is the guest\'s') as step:
            if sha256_of_range(self.image, FILES_MIB * MIB,
                               REGION_MIB * MIB) != self.region:
                raise Broken('the region in the image differs')
            step.note = f'SHA-256 of {REGION_MIB} MiB equal'

    def run(self):
        self.start_host()
        self.boot()
        self.write_files()
        self.work_and_kill()
        self.show_statistics()
        self.flush_and_stop()
        self.prove()

    def stop(self):
        if self.guest:
            self.guest.stop()
        self.host.stop()

    def keep_logs(self):
        """Copies the logs out of the folder that goes; returns where to."""
        kept = os.path.join(BUILD, 'run', 'demo-logs')
        shutil.rmtree(kept, ignore_errors=True)
        os.makedirs(kept)
        for folder in (self.root, os.path.join(self.root, 'log')):
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                if name.endswith(('.log', '.out')):
                    shutil.copy(os.path.join(folder, name), kept)
        return kept


def summary(demo, took):
    bin_folder = os.path.relpath(
        os.path.dirname(find_program(PREFIX, 'forebay')))
    daemon = os.path.relpath(find_program(PREFIX, 'forebayd'))
    say()
    say('  ' + paint('1;32', 'Every byte arrived.') +
        ' Two daemons were killed; the guest saw no error, and its')
    say(f'  longest wait for one request was {demo.pause_ms / 1000:.1f} s. '
        f'The demo took {took:.0f} s.')
    say()
    say('  ' + paint(1, 'Try next'))
    for command, why in (
            ('./run test --quick', 'the tests that run before each commit'),
            (f'{daemon} --root /tmp/h &', 'a host of your own'),
            (f'{bin_folder}/forebay --root /tmp/h status', 'and what it does'),
            ('less ARCHITECTURE.md', 'how it works, then filter.h')):
        say(f'    {command:<50} {paint(2, why)}')


def interrupted(signum, _frame):
    raise KeyboardInterrupt(signum)


def main():
    signal.signal(signal.SIGTERM, interrupted)
    start = time.monotonic()
    root = tempfile.mkdtemp(prefix='fb', dir='/tmp')
    demo = Demo(root)
    status = 1
    try:
        demo.run()
        status = 0
        summary(demo, time.monotonic() - start)
    except KeyboardInterrupt:
        say('\n  stopped')
        status = 130
    except Exception as error:  # what went wrong is for the reader below
        say(f'\n  {paint("1;31", "It did not hold:")} {error}')
        say(f'  Logs: {os.path.relpath(demo.keep_logs())}')
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        demo.stop()
        shutil.rmtree(root, ignore_errors=True)
    sys.exit(status)


main()
