# SPDX-License-Identifier: Apache-2.0
"""Real NBD servers below a disk: started, killed, stopped, started again."""

import os
import signal
import subprocess

import spawn

SECONDS = 30


class Server:
    """A program that serves NBD on a unix socket. @argv gets the socket."""

    def __init__(self, test, folder, argv, name='server'):
        self.test = test
        self.socket = os.path.join(folder, name + '.sock')
        self.log = os.path.join(folder, name + '.log')
        self.argv = argv
        self.process = None

    @property
    def uri(self):
        return 'nbd+unix:///?socket=' + self.socket

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = spawn.Process(self.argv(self.socket), self.log)
        self.test.addCleanup(self.process.kill)
        self.process.wait_for_file(self.socket, SECONDS)
        return self

    def kill(self):
        self.process.kill()

    def freeze(self):
        """Returns when each of its threads stands still."""
        os.kill(self.process.pid, signal.SIGSTOP)
        spawn.wait_until(lambda: set(self.thread_states()) == {'T'}, SECONDS,
                         'the server stands still')

    def thread_states(self):
        folder = f'/proc/{self.process.pid}/task'
        for thread in os.listdir(folder):
            with open(f'{folder}/{thread}/stat', encoding='utf-8') as file:
                yield file.read().rsplit(')', 1)[1].split()[0]

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)


def nbdkit(test, folder, *words, name='server'):
    """@words: filters, plugin and their parameters."""
    return Server(test, folder,
                  lambda socket: ['nbdkit', '-f', '-U', socket, *words], name)


def storage_daemon(test, folder, image):
    """A qcow2 image behind qemu-storage-daemon."""
    return Server(test, folder, lambda socket: [
        'qemu-storage-daemon',
        '--blockdev', f'driver=file,node-name=f,filename={image},'
        'discard=unmap',
        '--blockdev', 'driver=qcow2,node-name=q,file=f,discard=unmap',
        '--nbd-server', f'addr.type=unix,addr.path={socket}',
        '--export', 'type=nbd,id=e,node-name=q,name=,writable=on'])


def make_qcow2(path, size_bytes):
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', path,
                    str(size_bytes)], check=True)


def make_raw(path, size_bytes):
    with open(path, 'wb') as file:
        file.truncate(size_bytes)
    return path
