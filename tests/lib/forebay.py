# SPDX-License-Identifier: Apache-2.0
"""A whole Forebay host under a root folder of its own, from an installed tree.

    host = Host(root)        a short, existing folder
    host.start()
    host.cli('pool', 'create', 'ssd', path)
    host.json('disk', 'show', 'd1')
    host.stop()              ends every process of this host, by pid
"""

import fcntl
import json
import os
import signal
import subprocess

from spawn import Process, folder, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get('FOREBAY_BUILD', os.path.join(TOP, 'build'))
PREFIX = os.environ.get('FOREBAY_PREFIX', os.path.join(BUILD, 'install'))


class CommandFailed(Exception):
    """A forebay command that had to succeed and did not."""


def installed_tree():
    """Installs what the build has made; returns the prefix to run it from.

    A prefix outside the build folder is never written to: such a build is
    staged inside it, with all programs in one folder, because they look for
    each other beside themselves before they look under the real prefix.
    """
    prefix = PREFIX
    environment = dict(os.environ)
    if not prefix.startswith(BUILD + '/'):
        environment['DESTDIR'] = os.path.join(BUILD, 'stage')
        prefix = environment['DESTDIR'] + prefix
    with open(os.path.join(BUILD, 'install.lock'), 'w',
              encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild',
                        '--only-changed', '--quiet'], check=True,
                       env=environment, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)
        if 'DESTDIR' in environment:
            subprocess.run(
                f'cp -pu {prefix}/sbin/* {prefix}/libexec/forebay/* '
                f'{prefix}/bin', shell=True, check=False,
                stderr=subprocess.DEVNULL)
    return prefix


def find_program(prefix, name):
    for place in ('bin', 'sbin', 'libexec/forebay', 'libexec'):
        path = os.path.join(prefix, place, name)
        if os.path.exists(path):
            return path
    raise FileNotFoundError(f'{name} is not in {prefix}')


def processes_naming(text):
    """Pids of processes one of whose arguments holds @text."""
    for entry in os.listdir('/proc'):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f'/proc/{entry}/cmdline', 'rb') as file:
                words = file.read().split(b'\0')
            with open(f'/proc/{entry}/stat', encoding='utf-8') as file:
                state = file.read().rsplit(')', 1)[1].split()[0]
        except OSError:
            continue
        if state != 'Z' and any(text.encode() in word for word in words):
            yield int(entry)


class Host:
    """One host: forebayd and what it starts."""

    def __init__(self, root, prefix=None):
        self.root = root
        self.prefix = prefix or installed_tree()
        self.daemon = None
        self.filters = os.path.join(self.prefix, 'lib', 'forebay', 'filters')

    @classmethod
    def with_pool(cls, test):
        """One in a folder of @test's own, that runs and ends with it."""
        host = cls(folder(test))
        test.addCleanup(host.stop)
        test.addCleanup(lambda: print(host.logs()))
        host.start()
        host.pool()
        return host

    def start(self, *options):
        """Starts forebayd and waits until it answers."""
        self.daemon = Process(
            [find_program(self.prefix, 'forebayd'), '--root', self.root,
             *options],
            os.path.join(self.root, 'forebayd.out'),
            env=dict(os.environ, FOREBAY_FILTER_DIR=self.filters))
        self.daemon.wait_for_file(self.socket)
        wait_until(lambda: self.try_cli('status').returncode == 0, 15,
                   'forebayd answers')

    @property
    def socket(self):
        return os.path.join(self.root, 'run', 'forebayd.sock')

    def try_cli(self, *words, seconds=120):
        """Runs forebay; returns the finished process, whatever came out."""
        return subprocess.run(
            [find_program(self.prefix, 'forebay'), '--root', self.root,
             *map(str, words)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=seconds, check=False)

    def cli(self, *words, seconds=120):
        """Runs a forebay command that has to succeed; returns its output."""
        done = self.try_cli(*words, seconds=seconds)
        if done.returncode != 0:
            raise CommandFailed(f'forebay {" ".join(map(str, words))}: exit '
                                f'{done.returncode}: {done.stderr.strip()}')
        return done.stdout

    def json(self, *words):
        return json.loads(self.cli(*words, '-o', 'json'))

    def pool(self):
        """Makes the pool 'ssd', in a folder of this host's own."""
        path = os.path.join(self.root, 'pool')
        os.mkdir(path)
        self.cli('pool', 'create', 'ssd', path)

    def policy(self, name, *filters):
        """Makes a policy; @filters are (filter, properties) pairs."""
        path = os.path.join(self.root, name + '.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump({'name': name,
                       'filters': [{'filter': filter_name,
                                    'properties': properties}
                                   for filter_name, properties in filters]},
                      file)
        self.cli('policy', 'create', '-f', path)

    def cached_pid(self):
        return self.json('status')['cached']['pid']

    def disk(self, name):
        return self.json('disk', 'show', name)

    def stats(self, name):
        return self.json('disk', 'stats', name)

    def cache_status(self, name):
        """The status document of the disk's cache filter."""
        return next(entry['status'] for entry in self.stats(name)['filters']
                    if entry['name'] == 'cache')

    def kill_cached(self, seconds=30):
        """kill -9; returns when another forebay-cached has taken over."""
        old = self.cached_pid()
        os.kill(old, signal.SIGKILL)

        def replaced():
            cached = self.json('status')['cached']
            return (cached['pid'] not in (None, old)
                    and cached['state'] == 'running')
        wait_until(replaced, seconds, 'another forebay-cached runs')

    def kill_disk(self, name, how=signal.SIGKILL, seconds=30):
        """Returns when another forebay-disk serves the disk."""
        old = self.disk(name)['pid']
        os.kill(old, how)

        def replaced():
            disk = self.disk(name)
            return disk['pid'] not in (None, old) and disk['state'] == 'open'
        wait_until(replaced, seconds, f'another forebay-disk serves {name}')

    def kill_daemon(self):
        """kill -9 of forebayd alone."""
        self.daemon.kill()

    def stop(self):
        """Ends everything that belongs to this root, without ceremony."""
        if self.daemon:
            self.daemon.stop()

        def gone():
            left = list(processes_naming(self.root + '/'))
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            return not left
        wait_until(gone, 30, f'the processes of {self.root} end')

    def logs(self):
        """The ends of all logs, for a failing test's message."""
        folder = os.path.join(self.root, 'log')
        texts = []
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            path = os.path.join(folder, name)
            with open(path, encoding='utf-8', errors='replace') as file:
                texts.append(f'==== {name}\n' + file.read()[-4000:])
        return '\n'.join(texts)
