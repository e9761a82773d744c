# SPDX-License-Identifier: Apache-2.0
"""Filter bundles, read and made from docs/filter-bundles.md alone.

Shares no line with src/bundle: tar is Python's, ed25519 and zstd are called
where they live. So it can also make what `forebay filter build` would not.
"""

import base64
import ctypes
import ctypes.util
import hashlib
import io
import json
import tarfile

_sodium = ctypes.CDLL(ctypes.util.find_library('sodium') or 'libsodium.so.23')
_zstd = ctypes.CDLL(ctypes.util.find_library('zstd') or 'libzstd.so.1')
_zstd.ZSTD_compressBound.restype = ctypes.c_size_t
_zstd.ZSTD_compress.restype = ctypes.c_size_t
_zstd.ZSTD_decompress.restype = ctypes.c_size_t
_sodium.sodium_init()
SIZE = ctypes.c_size_t
UNPACKED_MAX = 65 << 20


class Key:
    """A key pair, also from and to the texts that the CLI writes."""

    def __init__(self, secret=None):
        self.public = ctypes.create_string_buffer(32)
        self.secret = ctypes.create_string_buffer(64)
        if secret is None:
            _sodium.crypto_sign_keypair(self.public, self.secret)
        else:
            self.secret.raw = secret
            self.public.raw = secret[32:]

    @classmethod
    def from_text(cls, text):
        form, kind, secret = text.split()
        assert (form, kind) == ('forebay-secret-key-1', 'ed25519')
        return cls(base64.b64decode(secret))

    @property
    def key_id(self):
        return hashlib.sha256(self.public.raw).hexdigest()[:16]

    @property
    def public_text(self):
        return ('forebay-public-key-1 ed25519 '
                + base64.b64encode(self.public.raw).decode() + '\n')

    def sign(self, manifest):
        """The text of manifest.sig."""
        signature = ctypes.create_string_buffer(64)
        _sodium.crypto_sign_detached(signature, None, manifest,
                                     ctypes.c_ulonglong(len(manifest)),
                                     self.secret)
        return (f'forebay-signature-1 ed25519 {self.key_id} '
                f'{base64.b64encode(signature.raw).decode()}\n').encode()

    def verifies(self, signature, manifest):
        form, kind, key_id, text = signature.decode().split()
        assert (form, kind) == ('forebay-signature-1', 'ed25519')
        return key_id == self.key_id and _sodium.crypto_sign_verify_detached(
            base64.b64decode(text), manifest,
            ctypes.c_ulonglong(len(manifest)), self.public) == 0


def pack(archive):
    room = _zstd.ZSTD_compressBound(SIZE(len(archive)))
    packed = ctypes.create_string_buffer(room)
    count = _zstd.ZSTD_compress(packed, SIZE(room), archive,
                                SIZE(len(archive)), 3)
    return packed.raw[:count]


def unpack(packed):
    archive = ctypes.create_string_buffer(UNPACKED_MAX)
    count = _zstd.ZSTD_decompress(archive, SIZE(UNPACKED_MAX), packed,
                                  SIZE(len(packed)))
    assert count <= UNPACKED_MAX, 'not a zstd frame'
    return archive.raw[:count]


def archive_of(entries):
    """The tar of (path, content) pairs, or of TarInfo in a path's place."""
    out = io.BytesIO()
    for path, content in entries:
        info = path if isinstance(path, tarfile.TarInfo) else \
            tarfile.TarInfo(path)
        info.size = len(content)
        out.write(info.tobuf(tarfile.USTAR_FORMAT))
        out.write(content + bytes(-len(content) % 512))
    return out.getvalue() + bytes(1024)


def entries_of(archive):
    with tarfile.open(fileobj=io.BytesIO(archive), mode='r:') as tar:
        return [(member.name, tar.extractfile(member).read())
                for member in tar]


def read(path):
    with open(path, 'rb') as file:
        return entries_of(unpack(file.read()))


def manifest_of(files, **members):
    """A manifest that is right for @files: (path, content) pairs."""
    manifest = {
        'format': 1, 'name': 'null', 'version': '1.0.0',
        'class': 'inspection', 'description': 'Does nothing.',
        'abi_version': 1, 'architecture': 'x86_64', 'library': 'null.so',
        'interface': {'operations': ['read'], 'properties': []},
        'needs': {'files': [], 'devices': [], 'sockets': [], 'keys': [],
                  'memory_bytes': 0},
        'files': [{'path': path, 'bytes': len(content),
                   'sha256': hashlib.sha256(content).hexdigest()}
                  for path, content in files]}
    manifest.update(members)
    return manifest


def make(manifest, files, key=None):
    """A packed bundle; @manifest is a document or the bytes of one."""
    text = manifest if isinstance(manifest, bytes) else json.dumps(
        manifest, indent=2).encode()
    entries = [('manifest.json', text)]
    if key:
        entries.append(('manifest.sig', key.sign(text)))
    return pack(archive_of(entries + list(files)))
