# SPDX-License-Identifier: Apache-2.0
"""What guest-verify says of a guest that has moved.

Once, on a busy machine, a guest that had moved twice under QEMU 7.2.22's
emulated CPU had read a sector's first generation and knew of none: its own
table was older than its disk. A disk can't do that; a write to memory that the
migration missed can. Then what the guest says of its disk is worth nothing.
guest-verify keeps its table twice, and says so when the two differ.
"""

import functools
import sys

ATTEMPTS = 3


class Void(Exception):
    """The witness's own memory is wrong."""


def assert_verified(test, output):
    """Fails @test, or has it done again if nothing was shown."""
    if 'VERIFY void' in output:
        raise Void(output.strip())
    test.assertIn('VERIFY ok', output)


def _again(method):
    @functools.wraps(method)
    def attempts(self):
        for _ in range(ATTEMPTS - 1):
            try:
                return method(self)
            except Void as reason:
                print(f'# once more: {reason}', file=sys.stderr)
            self.doCleanups()
            self.setUp()
        return method(self)
    return attempts


def again_if_void(case):
    """A class of tests whose methods are done again after a Void."""
    for name in list(vars(case)):
        if name.startswith('test_'):
            setattr(case, name, _again(getattr(case, name)))
    return case
