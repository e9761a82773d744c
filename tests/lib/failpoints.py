# SPDX-License-Identifier: Apache-2.0
"""What processes with failpoints (src/os/failpoint.c) do at them.

    points = Failpoints(path)
    environment FOREBAY_FAILPOINTS=path for the processes
    points.arm('used.shown', 3)      the third process, or hit, from now dies
"""

import mmap
import os
import struct

ENTRY = struct.Struct('<44sIIiQ')
NAME, ACTION, COUNTDOWN, ERROR, HITS = range(5)
DIE, STOP, FAIL, CRASH = range(1, 5)
ACTION_OFFSET, COUNTDOWN_OFFSET, ERROR_OFFSET = 44, 48, 52
POINTS_MAX = 256


class Failpoints:
    """The file that the processes of a test share with it."""

    def __init__(self, path):
        self.path = path
        with open(path, 'w+b') as file:
            file.truncate(POINTS_MAX * ENTRY.size)
            self.map = mmap.mmap(file.fileno(), 0)
        self.places = {}

    def environment(self):
        return dict(os.environ, FOREBAY_FAILPOINTS=self.path)

    def find(self, name):
        if name not in self.places:
            self.places = {entry: number for number, entry
                           in enumerate(self.names())}
        return self.places[name] * ENTRY.size

    def names(self):
        """Of all failpoints; a process has to have started before."""
        found = []
        for at in range(0, os.path.getsize(self.path), ENTRY.size):
            name = ENTRY.unpack_from(self.map, at)[NAME]
            found.append(name.rstrip(b'\0').decode())
        return [name for name in found if name]

    def arm(self, name, nth, action=DIE, error=0):
        """The @nth hit from now does @action."""
        at = self.find(name)
        struct.pack_into('<I', self.map, at + ACTION_OFFSET, action)
        struct.pack_into('<i', self.map, at + ERROR_OFFSET, error)
        struct.pack_into('<I', self.map, at + COUNTDOWN_OFFSET, nth)

    def disarm(self, name):
        struct.pack_into('<I', self.map, self.find(name) + COUNTDOWN_OFFSET,
                         0)

    def fired(self, name):
        """Whether it has happened, or been called off."""
        return ENTRY.unpack_from(self.map, self.find(name))[COUNTDOWN] == 0

    def hits(self, name):
        return ENTRY.unpack_from(self.map, self.find(name))[HITS]
