# SPDX-License-Identifier: Apache-2.0
"""virsh moves a guest between two hosts, with the commands of
docs/migration.md.

Each host is a forebayd and a libvirtd that sees its own files at the usual
places, in namespaces of its own; a cable connects the two.
"""

import os
import pwd
import re
import shutil
import subprocess
import unittest

import kernel
import tap
from forebay import TOP, Host, find_program
from guest import Guest, Line
from spawn import Process, folder, wait_until
from witness import again_if_void, assert_verified

MIB = 1 << 20
SIZE_MIB = 256
REGION_MIB = 64
SECONDS = 60
NODES = ('null', 'zero', 'full', 'random', 'urandom', 'tty')
# Whom QEMU runs as: Debian's, if libvirt's service has been set up here.
USERS = (('libvirt-qemu', 'libvirt-qemu'), ('nobody', 'nogroup'))
EMULATOR = '/usr/bin/qemu-system-x86_64'
PLACES = {'etc': '/etc/libvirt', 'run': '/run/libvirt',
          'lib': '/var/lib/libvirt', 'cache': '/var/cache/libvirt',
          'log': '/var/log/libvirt'}

LIBVIRTD_CONF = '''auth_unix_rw = "none"
host_uuid = "{uuid}"
'''
# No systemd, no AppArmor and no devices' cgroup here.
QEMU_CONF = '''user = "{user}"
group = "{group}"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
migration_address = "{address}"
migration_host = "{address}"
'''
DOMAIN = '''<domain type='qemu'>
  <name>web1</name>
  <memory unit='MiB'>256</memory>
  <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{work}/vmlinuz</kernel>
    <initrd>{work}/initrd</initrd>
    <cmdline>console=ttyS0 quiet panic=-1</cmdline>
  </os>
  <cpu mode='custom' match='exact'>
    <model fallback='forbid'>qemu64</model>
  </cpu>
  <devices>
    <emulator>{emulator}</emulator>
    {disk}
    <serial type='unix'><source mode='bind' path='{work}/tty/serial'/></serial>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
'''


def needs():
    """Why this can't be done here, or None."""
    for program in ('libvirtd', 'virsh', 'unshare', 'nsenter', 'ip'):
        if not shutil.which(program, path=os.environ['PATH'] + ':/usr/sbin'):
            return f'{program} is not installed'
    if os.geteuid() != 0:
        return 'namespaces need root'
    done = subprocess.run(['unshare', '-m', '-n', '-u', 'true'], check=False,
                          capture_output=True)
    return None if done.returncode == 0 else 'no namespaces can be made'


def user():
    names = [entry.pw_name for entry in pwd.getpwall()]
    return next(pair for pair in USERS if pair[0] in names)


def commands(name):
    """The block of the page that is called so."""
    with open(os.path.join(TOP, 'docs/migration.md'),
              encoding='utf-8') as file:
        return re.search(rf'^```sh {name}\n(.*?)^```$', file.read(),
                         re.MULTILINE | re.DOTALL).group(1)


class Machine:
    """A host of Forebay's and of libvirt's."""

    def __init__(self, test, name, number):
        self.test = test
        self.name = name
        self.address = f'10.77.0.{number}'
        self.work = test.work
        self.root = os.path.join(test.work, name)
        os.mkdir(self.root, 0o711)
        self.host = Host(self.root)
        test.addCleanup(self.host.stop)
        test.addCleanup(lambda: print(self.host.logs()))
        self.user, self.group = user()
        self.host.start('--socket-group', self.group)
        self.tty = os.path.join(test.work, f'tty-{name}')
        os.mkdir(self.tty)
        os.chown(self.tty, pwd.getpwnam(self.user).pw_uid, -1)
        self.files = os.path.join(self.root, 'lv')
        self.configure(number)
        self.daemon = self.start()

    def path(self, kind, *names):
        return os.path.join(self.files, kind, *names)

    def configure(self, number):
        for kind in PLACES:
            os.makedirs(self.path(kind), 0o755)
        for name, text in (('libvirtd.conf', LIBVIRTD_CONF),
                           ('qemu.conf', QEMU_CONF)):
            with open(self.path('etc', name), 'w', encoding='utf-8') as file:
                file.write(text.format(
                    uuid=f'{number}1111111-1111-4111-8111-111111111111',
                    user=self.user, group=self.group,
                    address=self.address))

    def start(self):
        mounts = [(self.path(kind), place) for kind, place in PLACES.items()]
        mounts += [(self.tty, f'{self.work}/tty'),
                   (f'{self.root}/run', f'{self.work}/here/run')]
        # Or each of them waits for a name server.
        mounts += [(f'{self.work}/hosts', '/etc/hosts')]
        script = ['mount --make-rprivate /', f'hostname {self.name}']
        script += [f'test -e {place} || mkdir -p {place}; '
                   f'mount --bind {own} {place}'
                   for own, place in mounts if own != place]
        # A KVM that can't be used is tried again with each question.
        script += ['mkdir /run/libvirt/dev; cd /run/libvirt/dev',
                   'mount -t tmpfs dev .; cd ../dev; mkdir pts shm',
                   'cp -a ' + ' '.join('/dev/' + node for node in NODES) + ' .',
                   'ln -s pts/ptmx ptmx; mount --bind /dev/pts pts',
                   'mount --move . /dev; cd /',
                   'exec libvirtd --pid-file /run/libvirt/pid']
        daemon = Process(['unshare', '-m', '-n', '-u', 'sh', '-ec',
                          '; '.join(script)],
                         os.path.join(self.root, 'libvirtd.out'))
        self.test.addCleanup(daemon.stop)
        self.test.addCleanup(self.destroy)
        self.test.addCleanup(lambda: print(daemon.output()))
        daemon.wait_for_file(self.path('run', 'libvirt-sock'), SECONDS)
        return daemon

    def network(self, command):
        subprocess.run(
            ['nsenter', '-t', str(self.daemon.pid), '-n', 'sh', '-ec',
             command], check=True, stdin=subprocess.DEVNULL, timeout=SECONDS)

    def connect(self, other):
        """The cable; each end is a namespace's, and goes with it."""
        self.network(f'ip link add c0 type veth peer name c0 netns '
                     f'{other.daemon.pid}')
        for machine in (self, other):
            machine.network(f'ip addr add {machine.address}/24 dev c0; '
                            'ip link set c0 up; ip link set lo up')

    @property
    def uri(self):
        return ('qemu+unix:///system?socket='
                + self.path('run', 'libvirt-sock'))

    def virsh(self, *words):
        return subprocess.run(
            ['virsh', '-c', self.uri, *words], text=True, check=False,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=3 * SECONDS)

    def destroy(self):
        """Whatever runs: a QEMU outlives its libvirtd."""
        self.virsh('destroy', 'web1')

    def disk(self):
        return self.host.disk('web1')

    def shell(self, script, **words):
        """Commands of the page, on this machine."""
        script = (f'forebay() {{ {find_program(self.host.prefix, "forebay")} '
                  f'--root {self.root} "$@"; }}\n'
                  f'virsh() {{ command virsh -c "{self.uri}" "$@"; }}\n'
                  + script)
        done = subprocess.run(
            ['sh', '-eu', '-c', script], env=dict(os.environ, **words),
            text=True, capture_output=True, stdin=subprocess.DEVNULL,
            timeout=3 * SECONDS, check=False)
        self.test.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout


class Visitor(Guest):
    """A guest that libvirt has started."""

    def __init__(self):
        super().__init__(None, [], None)

    def listen(self, machine):
        if self.serial:
            self.serial.close()
        path = os.path.join(machine.tty, 'serial')
        wait_until(lambda: os.path.exists(path), SECONDS, 'a serial line')
        self.serial = Line(path)


@again_if_void
class Libvirt(unittest.TestCase):

    def setUp(self):
        reason = needs()
        if reason:
            self.skipTest(reason)
        self.work = folder(self)
        os.mkdir(os.path.join(self.work, 'tty'))
        with open(os.path.join(self.work, 'hosts'), 'w',
                  encoding='utf-8') as file:
            file.write('10.77.0.1 here\n10.77.0.2 there\n')
        kernel.prepare()
        shutil.copy(kernel.vmlinuz(), os.path.join(self.work, 'vmlinuz'))
        kernel.build_initramfs(os.path.join(self.work, 'initrd'),
                               os.environ['GUEST_VERIFY'])
        for name in ('vmlinuz', 'initrd'):
            os.chmod(os.path.join(self.work, name), 0o644)
        self.here = Machine(self, 'here', 1)
        self.there = Machine(self, 'there', 2)
        self.here.connect(self.there)
        self.guest = Visitor()

    def create(self):
        for machine in (self.here, self.there):
            pool = os.path.join(machine.root, 'pool')
            os.mkdir(pool)
            machine.host.cli('pool', 'create', 'ssd', pool)
            machine.host.policy('gold', (
                'cache', {'mode': 'write-back', 'limit': '64MiB',
                          'max_dirty_age': '60s'}))
        image = 'file:' + os.path.join(self.work, 'web1.raw')
        self.here.host.cli('disk', 'create', 'web1', '--backend', image,
                           '--size', f'{SIZE_MIB}MiB', '--policy', 'gold')
        disk = self.here.disk()
        self.there.host.cli('disk', 'create', 'web1', '--backend', image,
                            '--id', disk['id'], '--device-revision',
                            disk['device_revision'], '--queues',
                            disk['queues'], '--policy', 'gold')

    def define(self, disk):
        path = os.path.join(self.work, 'web1.xml')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(DOMAIN.format(work=self.work, disk=disk,
                                     emulator=EMULATOR))
        done = self.here.virsh('define', path)
        self.assertEqual(done.returncode, 0, done.stderr)

    def move(self, source, target):
        """As the page says, with a name for the other machine."""
        words = {'NAME': 'web1', 'DOMAIN': 'web1', 'DESTINATION': target.uri}
        target.shell(commands('virsh-expect'), **words)
        self.assertEqual(target.disk()['state'], 'incoming')
        source.shell(commands('virsh-migrate'), **words)
        self.guest.listen(target)
        self.assertEqual(target.disk()['state'], 'open')
        self.assertEqual(source.disk()['state'], 'closed')
        self.assertIn('running', target.virsh('domstate', 'web1').stdout)

    def test_a_guest_moves_there_and_back_while_it_writes(self):
        self.create()
        self.define(self.here.shell(commands('virsh-define'), NAME='web1'))
        self.here.shell(commands('virsh-start'), DOMAIN='web1')
        self.guest.listen(self.here)
        self.guest.await_ready()
        # What it prints while nobody listens would be lost.
        self.guest.must(f'guest-verify /dev/vda 0 {REGION_MIB * MIB} 20 7 4 '
                        '</dev/null >/tmp/verify 2>&1 & :')
        self.move(self.here, self.there)
        self.move(self.there, self.here)
        output = self.guest.must('wait; cat /tmp/verify', 3 * SECONDS)
        assert_verified(self, output)
        self.assertEqual(self.guest.errors(), [])


if __name__ == '__main__':
    tap.main()
