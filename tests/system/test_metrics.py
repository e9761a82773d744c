# SPDX-License-Identifier: Apache-2.0
"""What Prometheus scrapes from a host, and that promtool has no complaint."""

import os
import re
import shutil
import signal
import subprocess
import time
import unittest

import nbd

import disk_process
import tap
from forebay import Host
from spawn import folder, wait_until
from unix_http import UnixConnection

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
MIB = 1 << 20
PROMTOOL_SECONDS = 60
SCRAPE_SECONDS = 10
SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="([^"]*)"')


def filters_with(installed, work, name):
    """A folder with the installed filters and one of the tests'."""
    path = os.path.join(work, 'filters')
    shutil.copytree(installed, path)
    shutil.copy(disk_process.library(name), path)
    return path


class Metrics(unittest.TestCase):

    def setUp(self):
        self.work = folder(self)
        self.host = Host(self.work)
        self.host.filters = filters_with(self.host.filters, self.work, 'xor')
        self.addCleanup(self.host.stop)
        self.addCleanup(lambda: print(self.host.logs()))
        self.host.start()
        pool = os.path.join(self.work, 'pool')
        os.mkdir(pool)
        self.host.cli('pool', 'create', 'ssd', pool)
        self.host.policy('p', ('cache', {'mode': 'write-back',
                                         'limit': '64MiB'}))

    def make(self, name):
        self.host.cli('disk', 'create', name, '--backend',
                      f'file:{self.work}/{name}.raw', '--size', '64MiB',
                      '--policy', 'p')
        self.host.cli('disk', 'open', name)

    def connected(self, name):
        handle = nbd.NBD()
        handle.connect_uri(self.host.disk(name)['exports']['nbd']['uri'])
        return handle

    def get(self, path):
        connection = UnixConnection(self.host.socket, SCRAPE_SECONDS)
        connection.request('GET', path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        self.assertEqual(answer.status, 200, text)
        return answer, text

    def scrape(self):
        """Returns: {(name, labels as a sorted tuple): value}."""
        answer, text = self.get('/metrics')
        self.assertEqual(answer.headers['Content-Type'],
                         'text/plain; version=0.0.4; charset=utf-8')
        samples = {}
        for line in text.splitlines():
            if line.startswith('#'):
                continue
            name, labels, value = SAMPLE.fullmatch(line).groups()
            key = (name, tuple(sorted(LABEL.findall(labels or ''))))
            self.assertNotIn(key, samples)
            samples[key] = float(value)
        return samples

    def value(self, samples, name, **labels):
        return samples.get((name, tuple(sorted(labels.items()))))

    def test_it_says_what_was_done(self):
        self.make('d1')
        handle = self.connected('d1')
        for i in range(10):
            handle.pwrite(b'a' * 4096, i * 8192)
        for _ in range(3):
            handle.pread(4096, 0)
        samples = self.scrape()

        def value(name, **labels):
            return self.value(samples, 'forebay_' + name, disk='d1', **labels)

        self.assertEqual(value('disk_requests_total', operation='write'), 10)
        self.assertEqual(value('disk_request_bytes_total', operation='read'),
                         3 * 4096)
        self.assertEqual(value('disk_request_errors_total', operation='read'),
                         0)
        self.assertEqual(value('cache_write_bytes_total'), 10 * 4096)
        self.assertEqual(value('cache_read_hit_bytes_total'), 3 * 4096)
        self.assertEqual(value('disk_dirty_bytes'), 10 * 4096)
        self.assertEqual(value('disk_lost_bytes'), 0)
        self.assertEqual(value('disk_size_bytes'), 64 * MIB)
        self.assertEqual(value('disk_state', state='open'), 1)
        self.assertEqual(value('disk_state', state='closed'), 0)
        self.assertEqual(value('disk_mode_info', requested='write-back',
                               actual='write-back', reason=''), 1)
        handle.flush()
        self.assertGreater(value('cache_ssd_written_bytes_total'), 10 * 4096)

    def test_times_are_a_histogram(self):
        self.make('d1')
        handle = self.connected('d1')
        for i in range(50):
            handle.pwrite(b'a' * 4096, i * 4096)
        samples = self.scrape()
        base = 'forebay_disk_request_duration_seconds'
        buckets = sorted(
            (float(dict(labels)['le']), value)
            for (name, labels), value in samples.items()
            if name == base + '_bucket'
            and dict(labels)['operation'] == 'write')
        counts = [count for _, count in buckets]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(buckets[-1], (float('inf'), 50))
        self.assertEqual(self.value(samples, base + '_count', disk='d1',
                                    operation='write'), 50)
        total = self.value(samples, base + '_sum', disk='d1',
                           operation='write')
        # Each takes at least what its bucket's lower bound says.
        least = sum((count - before) * bound / 2 for (bound, count), before
                    in zip(buckets[1:-1], counts))
        self.assertGreaterEqual(total, least)
        self.assertGreater(total, 0)

    def test_promtool_has_no_complaint(self):
        self.make('d1')
        self.make('d2')
        self.host.cli('disk', 'close', 'd2')
        self.connected('d1').pwrite(b'a' * 4096, 0)
        self.promtool(self.get('/metrics')[1])

    def promtool(self, text):
        done = subprocess.run(['promtool', 'check', 'metrics'], input=text,
                              capture_output=True, text=True, check=False,
                              timeout=PROMTOOL_SECONDS)
        self.assertEqual(done.stdout + done.stderr, '')
        self.assertEqual(done.returncode, 0)

    def test_the_documentation_has_each_of_them(self):
        _, text = self.get('/metrics')
        told = set(re.findall(r'(?m)^# TYPE (\w+) ', text))
        with open(os.path.join(TOP, 'docs/metrics.md'),
                  encoding='utf-8') as file:
            rows = set(re.findall(r'(?m)^\| `(forebay_\w+)` ', file.read()))
        self.assertEqual(rows, told)

    def test_filters_bring_their_own(self):
        self.host.policy('turned', ('xor', {}))
        self.host.cli('disk', 'create', 't1', '--backend',
                      f'file:{self.work}/t1.raw', '--size', '64MiB',
                      '--policy', 'turned')
        self.host.cli('disk', 'open', 't1')
        self.connected('t1').pread(4096, 0)
        samples = self.scrape()

        def value(name, **labels):
            return self.value(samples, 'forebay_filter_' + name, disk='t1',
                              **labels)
        self.assertEqual(value('xor_turned_bytes_total'), 4096)
        self.assertEqual(value('xor_under_way'), 0)
        self.assertEqual(value('xor_read_size_bytes_bucket', le='2048'), 0)
        self.assertEqual(value('xor_read_size_bytes_bucket', le='4096'), 1)
        self.assertEqual(value('xor_read_size_bytes_sum'), 4096)
        self.assertEqual(value('xor_read_time_seconds_count'), 1)
        self.assertEqual(value('held_requests', filter='xor'), 0)
        self.promtool(self.get('/metrics')[1])

    def test_each_figure_of_a_cache_is_explained(self):
        self.make('d1')
        stats = self.host.json('disk', 'stats', 'd1')
        status = next(one['status'] for one in stats['filters']
                      if one['name'] == 'cache')
        told = {f'{key}.{inner}' if inner else key
                for key, value in status.items()
                for inner in (value if isinstance(value, dict) else [''])}
        with open(os.path.join(TOP, 'docs/figures.md'),
                  encoding='utf-8') as file:
            rows = set(re.findall(r'(?m)^\| `([\w.]+)` ', file.read()))
        self.assertEqual(rows, told)

    def test_a_disk_that_does_not_answer_hides_nobody(self):
        self.make('d1')
        self.make('d2')
        self.connected('d2').pwrite(b'a' * 4096, 0)
        pid = self.host.disk('d1')['pid']
        os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            samples = self.scrape()
            self.assertLess(time.monotonic() - started, SCRAPE_SECONDS)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.value(samples, 'forebay_disk_requests_total',
                                    disk='d2', operation='write'), 1)
        self.assertIsNone(self.value(samples, 'forebay_disk_requests_total',
                                     disk='d1', operation='write'))
        self.assertEqual(self.value(samples, 'forebay_disk_size_bytes',
                                    disk='d1'), 64 * MIB)

    def test_a_crash_is_counted(self):
        self.make('d1')
        self.host.kill_disk('d1')
        wait_until(lambda: self.value(
            self.scrape(), 'forebay_disk_restarts_total', disk='d1') == 1,
            30, 'a restart is counted')

    def test_it_is_healthy(self):
        self.assertEqual(self.get('/healthz')[1], 'ok\n')


if __name__ == '__main__':
    tap.main()
