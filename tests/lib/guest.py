# SPDX-License-Identifier: Apache-2.0
"""A Linux guest in QEMU on vhost-user-blk disks, driven over its serial line.

Always emulated (TCG): /dev/kvm may exist and not work. Commands carry an end
marker with their exit status, so nothing waits for a prompt. Each wait has a
deadline.
"""

import json
import os
import re
import socket
import time

import kernel
from spawn import Process, listens, wait_until

BOOT_SECONDS = 180
GUEST_ERRORS = re.compile(
    r'I/O error|EXT4-fs (error|warning)|blocked for more than|Call Trace'
    r'|Remounting filesystem read-only|timed out')


class Line:
    """One end of a unix stream socket, read up to a pattern."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        wait_until(lambda: self.connect(path), 30, f'{path} listens')
        self.pending = ''

    def connect(self, path):
        """Returns False while the socket is bound and nobody listens yet."""
        try:
            self.socket.connect(path)
        except ConnectionRefusedError:
            return False
        return True

    def send(self, text):
        self.socket.settimeout(5)
        self.socket.sendall(text.encode())

    def read_until(self, pattern, seconds):
        """Returns (text before the match, match) and consumes both."""
        deadline = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.pending)
            if match:
                before = self.pending[:match.start()]
                self.pending = self.pending[match.end():]
                return before, match
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f'no {pattern!r} within {seconds} s after '
                                   + repr(self.pending[-2000:]))
            self.socket.settimeout(left)
            try:
                got = self.socket.recv(65536)
            except socket.timeout:
                continue
            if not got:
                raise EOFError('the guest is gone: '
                               + repr(self.pending[-2000:]))
            self.pending += got.decode('utf-8', 'replace')

    def close(self):
        self.socket.close()


class Guest:
    """Boots with start(); one command at a time with run()."""

    def __init__(self, work, disk_sockets, verify, cpus=2, memory_mib=256,
                 disk_options=''):
        self.work = work
        self.disk_sockets = disk_sockets
        self.verify = verify
        self.cpus = cpus
        self.memory_mib = memory_mib
        self.disk_options = disk_options
        self.programs = []  # beside the usual ones; see kernel.py
        self.files = []
        self.marker = 0
        self.process = None
        self.serial = None

    def path(self, name):
        return os.path.join(self.work, name)

    def command_line(self):
        words = [
            'qemu-system-x86_64', '-accel', 'tcg,thread=multi', '-cpu', 'max',
            '-machine', 'q35,memory-backend=mem', '-m', str(self.memory_mib),
            '-smp', str(self.cpus), '-nodefaults', '-no-user-config',
            '-display', 'none', '-no-reboot', '-object',
            f'memory-backend-memfd,id=mem,size={self.memory_mib}M,share=on',
            '-chardev',
            f'socket,id=ser,path={self.path("serial")},server=on,wait=off',
            '-serial', 'chardev:ser',
            '-qmp', f'unix:{self.path("qmp")},server=on,wait=off',
            '-kernel', kernel.vmlinuz(), '-initrd', self.path('initrd'),
            '-append', 'console=ttyS0 quiet panic=-1']
        for index, path in enumerate(self.disk_sockets):
            words += [
                '-chardev',
                f'socket,id=vhost{index},path={path},reconnect=1', '-device',
                f'vhost-user-blk-pci,id=disk{index},chardev=vhost{index},'
                f'num-queues={self.cpus}{self.disk_options}']
        return words

    def start(self):
        """Boots; returns the seconds that it took."""
        start = time.monotonic()
        self.launch()
        self.await_ready()
        return time.monotonic() - start

    def launch(self, *more):
        """Starts QEMU; await_ready() waits until the guest has booted."""
        kernel.prepare()
        kernel.build_initramfs(self.path('initrd'), self.verify,
                               self.programs, self.files)
        self.process = Process(self.command_line() + list(more),
                               self.path('qemu.log'))
        self.process.wait_for_file(self.path('serial'))
        self.serial = Line(self.path('serial'))

    def launch_target(self, source):
        """Starts a QEMU that waits for the guest of @source."""
        self.launch_from(source, self.migration_uri)
        self.process.wait_for_file(self.path('migration'))
        # Its first connection is the migration, so nobody tries it before.
        wait_until(lambda: listens(self.path('migration')), 60,
                   'QEMU waits for the guest')

    def launch_from(self, source, uri):
        """Starts a QEMU that has the guest of @source from @uri."""
        self.marker = source.marker
        self.launch('-incoming', uri)

    @property
    def migration_uri(self):
        return 'unix:' + self.path('migration')

    def await_ready(self):
        try:
            self.serial.read_until('GUEST-READY', BOOT_SECONDS)
        except (EOFError, TimeoutError) as error:
            raise RuntimeError(f'the guest did not boot: {error}\n'
                               + self.process.output()) from error
        self.must('true')

    def begin(self, command):
        """Starts a command; finish() waits for it."""
        self.marker += 1
        self.serial.send(f'{command}; echo "<$?:{self.marker}:>"\n')

    def finish(self, seconds):
        """Returns (exit status, output) of the command begun last."""
        before, match = self.serial.read_until(
            rf'<(\d+):{self.marker}:>\r?\n', seconds)
        return int(match.group(1)), before.replace('\r', '')

    def interrupt(self):
        """^C for the command begun last; it has to be one that goes on."""
        self.serial.send('\x03')

    def run(self, command, seconds=180):
        self.begin(command)
        return self.finish(seconds)

    def must(self, command, seconds=180):
        """Runs a command that has to succeed; returns its output."""
        status, output = self.run(command, seconds)
        if status != 0:
            raise RuntimeError(f'guest: {command}: status {status}\n{output}')
        return output

    def errors(self):
        """Lines of the guest's kernel log that speak of trouble."""
        return [line for line in self.must('dmesg').split('\n')
                if GUEST_ERRORS.search(line)]

    def qmp(self, execute, **arguments):
        """One QMP command on a connection of its own."""
        line = Line(self.path('qmp'))
        try:
            line.read_until(r'\n', 10)
            for name, given in (('qmp_capabilities', {}),
                                (execute, arguments)):
                line.send(json.dumps({'execute': name, 'arguments': given}))
                while True:
                    answer = json.loads(line.read_until(r'\n', 10)[0])
                    if 'error' in answer:
                        raise RuntimeError(f'{execute}: {answer["error"]}')
                    if 'return' in answer:
                        break
            return answer['return']
        finally:
            line.close()

    def power_off(self, seconds=30):
        """Syncs, shuts down and waits until QEMU has ended."""
        self.must('sync; umount -a -r 2>/dev/null; true', seconds)
        self.serial.send('poweroff -f\n')
        wait_until(lambda: not self.process.alive(), seconds,
                   'QEMU ends after the guest powered off')

    def stop(self):
        """Ends QEMU whatever state it is in."""
        if self.serial:
            self.serial.close()
            self.serial = None
        if self.process:
            self.process.kill()
