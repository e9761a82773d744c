# SPDX-License-Identifier: Apache-2.0
"""The engine's hit ratio against the best of its peers, on generated loads.

Everything is seeded and nothing takes time: the figures are the same anywhere.
"""

import os
import unittest

import report
import tap

# Points of hit ratio that ours may lack. Where that is more than 3, ADR 0031
# says why.
AIM = 3.0
KNOWN = {'loop': 6.0, 'loop-sequential': 4.5, 'shifting': 7.0,
         'database': 6.5, 'mixed-30w': 5.5, 'mixed-60w': 6.0}
CACHE = 16384
REQUESTS = 400000


class Policy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.results = report.measure(os.environ['CACHESIM'], [CACHE], REQUESTS)

    def test_no_workload_is_further_behind_the_best_than_is_known(self):
        for (name, _), row in self.results.items():
            with self.subTest(workload=name):
                self.assertLessEqual(report.behind(row), KNOWN.get(name, AIM),
                                     row)

    def test_a_loop_larger_than_the_cache_still_hits(self):
        row = self.results['loop', CACHE]
        self.assertLess(row['LRU'][0], 0.01)
        self.assertGreater(row['Forebay'][0], 0.7)

    def test_a_loop_over_more_than_half_the_set_pushes_nothing_out(self):
        for name in ('loop', 'loop-sequential'):
            results = report.measure(os.environ['CACHESIM'], [2 * CACHE],
                                     REQUESTS, name)
            with self.subTest(workload=name):
                self.assertLess(report.behind(results[name, 2 * CACHE]), AIM)

    def test_a_scan_does_not_empty_the_cache(self):
        row = self.results['zipf-scans', CACHE]
        self.assertGreater(row['Forebay'][0], row['LRU'][0])

    def test_no_read_or_write_costs_the_ssd_more_than_three_of_its_size(self):
        for (name, _), row in self.results.items():
            with self.subTest(workload=name):
                self.assertLess(row['Forebay'][1], 3.0)


if __name__ == '__main__':
    tap.main()
