# SPDX-License-Identifier: Apache-2.0
"""A forebayd that only knows its lines: the CLI's neighbour in these tests.

It answers each request with the next answer that the test wrote down for that
method and path, and remembers what was asked.
"""

import http.server
import json
import os
import socketserver
import threading


class Answer:
    """One answer: a status, a body (a document or bytes), its type."""

    def __init__(self, status, body, kind='application/json'):
        self.status = status
        self.kind = kind
        self.body = body if isinstance(body, bytes) else json.dumps(
            body).encode()


def problem(status, code, detail, **members):
    return Answer(status, {
        'type': f'urn:forebay:problem:{code}', 'title': code,
        'status': status, 'code': code, 'detail': detail, 'object': None,
        'hint': None, **members}, 'application/problem+json')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def serve(self):
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(length)
        answer = self.server.take(self.command, self.path, body,
                                  dict(self.headers))
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header('Content-Type', answer.kind)
        self.send_header('Content-Length', str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_DELETE = serve

    def address_string(self):
        return 'cli'

    def log_message(self, *_args):
        pass


class Scripted(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves under @root until the test ends."""

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, test, root):
        self.script = {}
        self.asked = []
        self.headers = []
        os.makedirs(f'{root}/run', exist_ok=True)
        super().__init__(f'{root}/run/forebayd.sock', Handler)
        thread = threading.Thread(target=self.serve_forever,
                                  kwargs={'poll_interval': 0.05})
        thread.start()
        test.addCleanup(thread.join)
        test.addCleanup(self.server_close)
        test.addCleanup(self.shutdown)

    def answers(self, method, path, *answers):
        """The last one is repeated; a callable is called for its answer;
        None ends the connection without an answer."""
        self.script[method, path] = list(answers)

    def take(self, method, path, body, headers):
        is_file = headers.get('Content-Type') == 'application/octet-stream'
        self.asked.append((method, path, body.decode('latin-1') if is_file
                           else json.loads(body) if body else None))
        self.headers.append(headers)
        left = self.script.get((method, path))
        if left is None:
            return problem(404, 'no-such-route', f'{method} {path}')
        answer = left.pop(0) if len(left) > 1 else left[0]
        return answer() if callable(answer) else answer

    def bodies(self, method, path):
        return [body for how, where, body in self.asked
                if (how, where) == (method, path)]
