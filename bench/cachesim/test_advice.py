# SPDX-License-Identifier: Apache-2.0
"""What the engine says of other sizes, against the engine of these sizes.

Everything is seeded and nothing takes time: the figures are the same anywhere.
"""

import os
import unittest

import advice
import tap

# Points of hit ratio that the curve may be off.
AIM = 3.0
CACHE = 16384
REQUESTS = 200000
# Of the curve's sizes, by their place: an eighth, the present one, four times
# as much. `meson compile -C build advice-ratios` looks at all of them.
SIZES = (0, 4, 8)
WORKLOADS = ('zipf-1.0', 'zipf-scans', 'loop', 'database', 'mixed-60w')


class Advice(unittest.TestCase):
    def test_the_curve_is_within_three_points_of_the_engine_itself(self):
        for workload in WORKLOADS:
            rows = advice.measure(os.environ['CACHESIM'], CACHE, REQUESTS,
                                  workload, SIZES)
            self.assertEqual(len(rows), len(SIZES))
            for row in rows:
                with self.subTest(workload=workload, blocks=row.blocks):
                    self.assertLessEqual(abs(row.off), AIM, row)

    def test_sizes_differ_by_more_than_that(self):
        rows = advice.measure(os.environ['CACHESIM'], CACHE, REQUESTS,
                              'zipf-1.0', (0, 8))
        self.assertGreater(rows[1].simulated - rows[0].simulated, 0.2)


if __name__ == '__main__':
    tap.main()
