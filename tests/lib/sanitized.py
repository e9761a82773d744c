# SPDX-License-Identifier: Apache-2.0
"""Whether the programs under test have a sanitizer, which changes their ends."""

import os

BUILD = os.environ['FOREBAY_BUILD']


def is_sanitized():
    path = os.path.join(BUILD, 'src/disk/forebay-disk')
    with open(path, 'rb') as file:
        return b'__asan_init' in file.read()
