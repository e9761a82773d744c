# SPDX-License-Identifier: Apache-2.0
"""HTTP over a unix socket, as forebayd speaks it."""

import http.client
import socket


class UnixConnection(http.client.HTTPConnection):

    def __init__(self, path, seconds):
        super().__init__('localhost', timeout=seconds)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)
