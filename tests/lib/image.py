# SPDX-License-Identifier: Apache-2.0
"""Looks into a raw image from outside, without mounting or trusting it."""

import hashlib
import os
import re
import subprocess
import tempfile

CHUNK = 1 << 20


def sha256_of_range(path, offset, length):
    """SHA-256 of @length bytes of the file at @offset."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        file.seek(offset)
        while length > 0:
            data = file.read(min(CHUNK, length))
            if not data:
                raise EOFError(f'{path} ends {length} bytes early')
            digest.update(data)
            length -= len(data)
    return digest.hexdigest()


def e2fs(program, *words):
    """Runs a tool of e2fsprogs, which may live in /sbin."""
    environment = dict(os.environ, PATH=os.environ['PATH'] + ':/sbin',
                       LC_ALL='C')
    return subprocess.run([program, *words], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, env=environment,
                          timeout=120, check=False)


def ext4_trouble(path):
    """What e2fsck says about the ext4 file system at the image's start, or
    None when it finds nothing to mend."""
    done = e2fs('e2fsck', '-f', '-n', path)
    return None if done.returncode == 0 else done.stdout + done.stderr


def sha256_of_ext4_files(path, names):
    """{name: SHA-256} of files of an ext4 image, read by debugfs."""
    sums = {}
    with tempfile.TemporaryDirectory(dir='/tmp') as work:
        for index, name in enumerate(names):
            out = os.path.join(work, str(index))
            e2fs('debugfs', '-R', f'dump /{name} {out}', path)
            if not os.path.exists(out):
                raise FileNotFoundError(f'{name} is not in {path}')
            sums[name] = sha256_of_range(out, 0, os.path.getsize(out))
    return sums


def parse_sha256sum(text):
    """{name: SHA-256} of what sha256sum printed."""
    return {name: digest for digest, name in
            re.findall(r'^([0-9a-f]{64})  (\S+)$', text, re.M)}
