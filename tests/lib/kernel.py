# SPDX-License-Identifier: Apache-2.0
"""The guest's kernel and initramfs.

The kernel is Debian's cloud kernel, downloaded once into .cache/guest and
unpacked there; nothing of it is installed. The initramfs is written here, as
a newc cpio archive, which needs neither root nor a tool: busybox, the virtio
modules, mke2fs with its libraries, guest-verify and a shell on the serial
line.
"""

import fcntl
import glob
import os
import re
import shutil
import stat
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
CACHE = os.path.join(TOP, '.cache', 'guest')
META_PACKAGE = 'linux-image-cloud-amd64'
# In this order: each module needs the ones before it.
MODULES = ('virtio/virtio_ring', 'virtio/virtio',
           'virtio/virtio_pci_modern_dev', 'virtio/virtio_pci_legacy_dev',
           'virtio/virtio_pci', 'block/virtio_blk')
INIT = '''#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/sbin PS1=
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in {modules}; do insmod /lib/modules/$module.ko; done
stty -echo
echo "GUEST-READY"
while :; do setsid cttyhack sh; done
'''


def host(*words, cwd=None):
    """Runs a command of the Debian host; returns what it printed."""
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd,
                          stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise RuntimeError(f'{" ".join(words)}: {done.stderr.strip()}')
    return done.stdout


def kernel_package():
    """The exact package that the meta package stands for today."""
    found = re.search(r'Depends: (linux-image-[0-9]\S*cloud-amd64)$',
                      host('apt-cache', 'depends', META_PACKAGE), re.M)
    return found.group(1) if found else None


def fetch_kernel():
    """Fills the cache with vmlinuz and the modules."""
    package = kernel_package()
    if package is None:
        root = [] if os.geteuid() == 0 else ['sudo', '-n']
        host(*root, 'apt-get', '-qq', 'update')
        package = kernel_package()
    if package is None:
        raise RuntimeError(f'apt does not know {META_PACKAGE}')
    work = os.path.join(CACHE, 'unpack')
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    host('apt-get', '-qq', 'download', package, cwd=work)
    archive, = glob.glob(os.path.join(work, '*.deb'))
    host('dpkg-deb', '-x', archive, work)
    for module in MODULES:
        path, = glob.glob(f'{work}/lib/modules/*/kernel/drivers/{module}.ko')
        shutil.copy(path, CACHE)
    image, = glob.glob(f'{work}/boot/vmlinuz-*')
    shutil.copy(image, os.path.join(CACHE, 'vmlinuz.part'))
    os.rename(os.path.join(CACHE, 'vmlinuz.part'), vmlinuz())
    shutil.rmtree(work)


def vmlinuz():
    return os.path.join(CACHE, 'vmlinuz')


def prepare():
    """Makes sure that the kernel is there; safe to call from many tests."""
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, 'lock'), 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(vmlinuz()):
            fetch_kernel()


class Archive:
    """A cpio archive in the newc format, as the kernel reads it."""

    def __init__(self, path):
        self.file = open(path, 'wb')
        self.inode = 0
        self.folders = set()

    def entry(self, name, mode, data=b'', device=(0, 0)):
        self.inode += 1
        encoded = name.encode() + b'\0'
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, device[0],
                  device[1], len(encoded), 0)
        head = b'070701' + b''.join(b'%08X' % field for field in fields)
        for part in (head + encoded, data):
            self.file.write(part + b'\0' * (-len(part) % 4))

    def folder(self, name):
        """The folder and those above it, each once."""
        if name and name not in self.folders:
            self.folder(os.path.dirname(name))
            self.folders.add(name)
            self.entry(name, stat.S_IFDIR | 0o755)

    def add(self, name, data):
        self.folder(os.path.dirname(name))
        self.entry(name, stat.S_IFREG | 0o755, data)

    def copy(self, path, name=None):
        with open(path, 'rb') as file:
            self.add(name or path.lstrip('/'), file.read())

    def close(self):
        self.entry('TRAILER!!!', 0)
        self.file.close()


def libraries(program):
    """Paths of the shared libraries that @program loads."""
    return re.findall(r'(/\S+) \(0x', host('ldd', program))


def build_initramfs(path, verify, programs=(), files=()):
    """Writes the initramfs to @path; @verify is the guest-verify binary.

    @programs are put into /bin with their libraries, @files are pairs of a
    name and its bytes.
    """
    archive = Archive(path)
    for name in ('dev', 'proc', 'sys', 'mnt', 'tmp', 'bin', 'sbin'):
        archive.folder(name)
    archive.entry('dev/console', stat.S_IFCHR | 0o600, device=(5, 1))
    names = [module.split('/')[-1] for module in MODULES]
    archive.add('init', INIT.format(modules=' '.join(names)).encode())
    archive.copy('/bin/busybox', 'bin/busybox')
    archive.copy(verify, 'bin/guest-verify')
    for name in names:
        archive.copy(os.path.join(CACHE, name + '.ko'),
                     f'lib/modules/{name}.ko')
    # Under this name it isn't taken for busybox' own mke2fs.
    archive.copy('/sbin/mke2fs', 'sbin/mkfs.ext4')
    archive.copy('/etc/mke2fs.conf')
    needed = set(libraries('/sbin/mke2fs'))
    for program in programs:
        archive.copy(program, 'bin/' + os.path.basename(program))
        needed.update(libraries(program))
    for library in sorted(needed):
        archive.copy(library)
    for name, data in files:
        archive.add(name, data)
    archive.close()


if __name__ == '__main__':
    prepare()
    sys.exit(0)
