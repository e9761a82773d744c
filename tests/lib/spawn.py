# SPDX-License-Identifier: Apache-2.0
"""Processes and folders of a test: short paths, no survivors.

Every process that is started here dies with the test, even when the test is
killed (PR_SET_PDEATHSIG), is out of reach of the terminal's ^C, and is only
ever signalled by its own pid.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def folder(test):
    """A temporary folder for @test, short enough for unix sockets."""
    path = tempfile.mkdtemp(prefix='fb', dir='/tmp')
    # The disks' processes have users of their own, who pass through here.
    os.chmod(path, 0o711)
    test.addCleanup(shutil.rmtree, path, ignore_errors=True)
    return path


def free_port():
    """A TCP port of this host that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def listens(path):
    """Whether a process listens at a unix socket, without connecting to it.

    Between its bind and its listen the path is there, and refuses.
    """
    with open('/proc/net/unix', encoding='utf-8') as file:
        sockets = [line.split() for line in file]
    return any(words[3] == '00010000' and words[7:] == [path]
               for words in sockets)


def wait_until(condition, seconds, what):
    """Polls @condition until it returns something true, which is returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f'{what}: not within {seconds} s')
        time.sleep(0.02)


class Process:
    """A running program whose output goes to a file."""

    def __init__(self, argv, log, **options):
        self.argv = [str(word) for word in argv]
        self.log = log
        with open(log, 'ab') as out:
            self.popen = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                preexec_fn=die_with_parent, start_new_session=True,
                **options)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def output(self):
        with open(self.log, encoding='utf-8', errors='replace') as file:
            return file.read()

    def wait(self, seconds):
        return self.popen.wait(seconds)

    def kill(self):
        """kill -9, and waits until the process is gone."""
        if self.alive():
            self.popen.kill()
        return self.popen.wait(30)

    def stop(self, seconds=60):
        """SIGTERM, then kill -9 for one that doesn't listen."""
        if self.alive():
            self.popen.terminate()
            try:
                return self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                return self.kill()
        return self.popen.returncode

    def wait_for_file(self, path, seconds=60):
        """Waits for a path that the process makes, such as a socket."""
        def there():
            if not self.alive():
                raise RuntimeError(
                    f'{self.argv[0]} ended with {self.popen.returncode}:\n'
                    + self.output())
            return os.path.exists(path)
        wait_until(there, seconds, f'{self.argv[0]} makes {path}')
