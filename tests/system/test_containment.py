# SPDX-License-Identifier: Apache-2.0
"""A filter that crashes, hangs, loops or leaks hurts its own disk alone.

The filter `fault` does so in the disk `ill`, while a load on the disk `well`
checks every byte. What `well` did alone, in the same run, is what it is compared
with: two loads on the two CPUs of a small machine may slow each other down
several times without any fault, so the bounds are wide. A fault that reached
over would not halve the figures: it would end them.
"""

import json
import os
import re
import signal
import subprocess
import time
import unittest

import tap
from forebay import Host, find_program
from spawn import die_with_parent, wait_until

# At least so long, and as long as the fault takes.
LOAD_SECONDS = 3
# Times the load that is slowed by a neighbour may be worse, and time that the
# kernel may take to give a CPU to somebody else.
SLOWER = 8
SCHEDULER_US = 50000
MIB = 1 << 20
LEAK_MIB = 8
BLOCKED = 'filter fault has blocked the loop for '
# What a disk's process may take after its doors are closed.
LEAK_LIMIT_MIB = 1024


class Containment(unittest.TestCase):

    def setUp(self):
        self.host = Host.with_pool(self)
        self.host.policy('healthy', ('cache', {'limit': '64MiB'}))
        self.host.policy('odd', ('fault', {}), ('cache', {'limit': '64MiB'}))
        for name, policy in (('well', 'healthy'), ('ill', 'odd')):
            self.host.cli('disk', 'create', name, '--backend',
                          f'{self.host.root}/{name}.raw', '--size', '64MiB',
                          '--policy', policy)
            self.host.cli('disk', 'open', name)

    # ---- the healthy disk ----------------------------------------------

    def begin(self, disk, *words):
        load = subprocess.Popen(
            [find_program(self.host.prefix, 'forebay'), '--root',
             self.host.root, 'bench', disk, '-o', 'json', '--read', '50',
             '--flush', '1', '--destroy-data', *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        self.addCleanup(load.wait)
        self.addCleanup(load.kill)
        return load

    def begin_well(self):
        load = self.begin('well', '--depth', 4, '--rate', 2000, '--verify',
                          '--seconds', 600)
        wait_until(lambda: self.connected('well'), 30, 'the load has begun')
        return load

    def end(self, load, seconds=120):
        output, said = load.communicate(timeout=seconds)
        self.assertEqual(load.returncode, 0, said)
        report = json.loads(output)
        self.assertEqual((report['errors'], report['reconnects'],
                          report['verify']['wrong_sectors'],
                          report['verify']['read_back_errors']),
                         (0, 0, 0, 0))
        return report

    def connected(self, disk):
        return self.host.stats(disk)['exports']['vhost_user_blk']['connected']

    def compare(self, alone, beside):
        print(f'# alone {alone["requests_per_second"]:.0f}/s, p99 '
              f'{alone["latency_us"]["p99"]:.0f} us; beside '
              f'{beside["requests_per_second"]:.0f}/s, p99 '
              f'{beside["latency_us"]["p99"]:.0f} us')
        self.assertGreater(beside['requests_per_second'] * SLOWER,
                           alone['requests_per_second'])
        self.assertLess(beside['latency_us']['p99'],
                        alone['latency_us']['p99'] * SLOWER + SCHEDULER_US)

    def load_well(self, happen):
        """Ends, with its report, when @happen is over."""
        load = self.begin_well()
        end = time.monotonic() + LOAD_SECONDS
        happen()
        time.sleep(max(0, end - time.monotonic()))
        load.send_signal(signal.SIGINT)
        return self.end(load)

    def beside(self, happen):
        """Runs the load alone, then with @happen, which is the fault."""
        before = self.host.disk('well')
        alone = self.load_well(lambda: None)
        self.compare(alone, self.load_well(happen))
        after = self.host.disk('well')
        for key in ('state', 'pid', 'restarts', 'reason'):
            self.assertEqual(after[key], before[key], key)

    # ---- the ill one ---------------------------------------------------

    def set_rules(self, rules, **more):
        """By whatever state the disk is in; returns the command's end."""
        path = os.path.join(self.host.root, 'new.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump({'name': 'odd', 'filters': [
                {'filter': 'fault', 'properties': {'rules': rules}, **more},
                {'filter': 'cache', 'properties': {'limit': '64MiB'}}]}, file)
        return self.host.try_cli('policy', 'update', '-f', path)

    def begin_ill(self):
        return self.begin('ill', '--depth', 4, '--reconnect', 60, '--seconds',
                          600)

    def log_of_ill(self):
        with open(os.path.join(self.host.root, 'log', 'disk-ill.log'),
                  encoding='utf-8') as file:
            return file.read()

    def mended(self):
        """The disk without rules serves, whatever it was in before."""
        self.set_rules('')
        if self.host.disk('ill')['state'] == 'open':
            self.host.cli('disk', 'restart', 'ill')
        else:
            self.host.cli('disk', 'open', 'ill')
        load = self.begin('ill', '--verify', '--count', 500)
        self.end(load)

    def cpu_ticks(self):
        with open(f'/proc/{self.host.disk("ill")["pid"]}/stat',
                  encoding='utf-8') as file:
            return sum(map(int, file.read().rsplit(')', 1)[1].split()[11:13]))

    def memory_bytes(self):
        with open(f'/proc/{self.host.disk("ill")["pid"]}/status',
                  encoding='utf-8') as file:
            return int(re.search(r'VmRSS:\s*(\d+)', file.read())[1]) << 10

    # ---- tests ---------------------------------------------------------

    def test_a_crash_loop_ends_in_a_state_that_is_seen(self):
        self.set_rules('crash on write')

        def happen():
            ill = self.begin_ill()
            wait_until(lambda: self.host.disk('ill')['restarts'] >= 2, 60,
                       'it crashes again and again')
            self.ill = ill
        self.beside(happen)
        disk = wait_until(self.gave_up, 120, 'forebayd gives it up')
        self.assertIn('filter fault crashed in submit (SIGSEGV',
                      disk['reason'])
        self.ill.kill()
        self.assertIn('fault: now: "crash on write"', self.log_of_ill())
        self.mended()

    def test_a_filter_that_may_be_bypassed_is_before_the_disk_is_given_up(
            self):
        self.set_rules('crash on write', on_failure='bypass')
        load = self.begin('ill', '--depth', 4, '--reconnect', 60, '--verify',
                          '--seconds', 600)
        disk = wait_until(self.bypassed, 120, 'it is bypassed')
        self.assertEqual(disk['state'], 'open')
        self.assertTrue(disk['reason'].endswith(
            "bypassed because the disk's process crashed again and again: "
            'fault'), disk['reason'])
        wait_until(lambda: self.connected('ill'), 60, 'the load is back')
        self.assertEqual([entry['name'] for entry in
                          self.host.stats('ill')['filters']], ['cache'])
        load.send_signal(signal.SIGINT)
        output, said = load.communicate(timeout=120)
        # The VM was told of the writes that had made it crash, and only that.
        self.assertEqual(json.loads(output)['verify']['wrong_sectors'], 0,
                         said)
        self.mended()
        self.assertEqual(self.fault_status()['rules'], [])

    def bypassed(self):
        disk = self.host.disk('ill')
        return disk if 'bypassed' in (disk['reason'] or '') else None

    def gave_up(self):
        disk = self.host.disk('ill')
        return disk if disk['state'] == 'failed' else None

    def test_a_hang_stops_its_own_disk(self):
        self.set_rules('hang on write after 100')

        def happen():
            ill = self.begin_ill()
            wait_until(lambda: 'now: "hang' in self.log_of_ill(), 30,
                       'it hangs')
            # Who looks isn't held up either.
            self.assertEqual(self.host.disk('ill')['state'], 'open')
            wait_until(lambda: BLOCKED in self.log_of_ill(), 60,
                       'who it is that hangs is said')
            self.ill = ill
        self.beside(happen)
        self.assertIsNone(self.ill.poll())
        self.ill.kill()
        self.mended()

    def test_a_busy_loop_takes_one_cpu_and_no_more(self):
        self.set_rules('loop on write after 100')

        def happen():
            ill = self.begin_ill()
            wait_until(lambda: 'now: "loop' in self.log_of_ill(), 30,
                       'it loops')
            before = self.cpu_ticks()
            wait_until(lambda: self.cpu_ticks() > before + 20, 60,
                       'it takes CPU time')
            self.ill = ill
        self.beside(happen)
        self.ill.kill()
        self.ill.wait()
        self.host.kill_disk('ill')
        self.mended()

    def test_a_leak_ends_in_its_own_process(self):
        self.set_rules(f'leak {LEAK_MIB}MiB on write')

        def happen():
            # It gets no memory at last, and the load is told of that.
            load = self.begin('ill', '--depth', 4, '--reconnect', 60,
                              '--count', 4 * LEAK_LIMIT_MIB // LEAK_MIB)
            output, _ = load.communicate(timeout=60)
            self.assertEqual(load.returncode, 1)
            self.assertGreater(json.loads(output)['errors'], 0)
            self.leaked = self.fault_status()['leaked_bytes']
            self.resident = self.memory_bytes()
        self.beside(happen)
        self.assertGreater(self.leaked, (LEAK_LIMIT_MIB - 256) * MIB)
        self.assertLessEqual(self.leaked, LEAK_LIMIT_MIB * MIB)
        self.assertLess(self.resident, (LEAK_LIMIT_MIB + 256) * MIB)
        self.assertEqual(self.host.disk('ill')['restarts'], 0)
        self.mended()
        self.assertLess(self.memory_bytes(), 256 * MIB)

    def fault_status(self):
        return next(entry['status'] for entry in
                    self.host.stats('ill')['filters']
                    if entry['name'] == 'fault')


if __name__ == '__main__':
    tap.main()
