# SPDX-License-Identifier: Apache-2.0
"""The engine can't reach the world: what its library leaves undefined.

Follows the undefined symbols of the engine's objects through the objects of
src/base that define them; what is left must be on the short list below.
"""

import os
import subprocess
import unittest

import tap

PURE = {
    'memcpy', 'memmove', 'memset', 'memcmp', 'bcmp', 'memchr', 'strlen', 'strcmp',
    'strncmp', 'strchr', 'strnlen', 'snprintf', 'vsnprintf',
    '__snprintf_chk', '__vsnprintf_chk', '__memcpy_chk', '__memset_chk',
    '__memmove_chk', '__assert_fail', '__stack_chk_fail', 'crc32_iscsi',
    '_GLOBAL_OFFSET_TABLE_',
    # The compiler's own arithmetic.
    '__udivti3', '__umodti3', '__udivmodti4', '__popcountdi2',
}
# What the sanitizers put in.
INSTRUMENTATION = ('__asan_', '__ubsan_', '__sanitizer_', '___asan_',
                   '__odr_asan')
# A way into the world of each kind, to prove that the test would see it.
WORLD = {'read', 'clock_gettime', 'pthread_create', 'getrandom', 'malloc'}


def symbols(archive):
    """[(defined, undefined)] of each object in an archive."""
    printed = subprocess.run(['nm', '-P', archive], check=True,
                             capture_output=True, text=True).stdout
    objects = []
    for line in printed.split('\n'):
        words = line.split()
        if line.endswith(']:'):
            objects.append((set(), set()))
        elif len(words) >= 2:
            objects[-1][words[1] in 'Uwv'].add(words[0])
    return objects


def reached(engine, base):
    """Undefined symbols of the engine and of what it uses of base."""
    owner = {name: undefined for defined, undefined in base
             for name in defined}
    known = set().union(*(defined for defined, _ in engine))
    queue = [name for _, undefined in engine for name in undefined]
    seen, left = set(), set()
    while queue:
        name = queue.pop()
        if name in seen or name in known:
            continue
        seen.add(name)
        if name in owner:
            queue += owner[name]
        else:
            left.add(name)
    return {name for name in left if not name.startswith(INSTRUMENTATION)}


class SymbolsTest(unittest.TestCase):

    def test_the_engine_reaches_no_io_clock_thread_or_randomness(self):
        engine = symbols(os.environ['ENGINE_LIBRARY'])
        base = symbols(os.environ['BASE_LIBRARY'])
        self.assertGreater(len(engine), 0)
        self.assertEqual(reached(engine, base) - PURE, set())

    def test_a_way_into_the_world_would_be_seen(self):
        for name in WORLD:
            with self.subTest(name=name):
                engine = [({'engine_poll'}, {'helper'})]
                base = [({'helper'}, {name, 'memcpy'})]
                self.assertEqual(reached(engine, base) - PURE, {name})


if __name__ == '__main__':
    tap.main()
