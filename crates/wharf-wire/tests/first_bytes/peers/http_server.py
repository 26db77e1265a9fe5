"""For each line of hexadecimal: the Host that Python's server reads in it. `-` for a request without, `!` for none."""

import binascii
import http.server
import io
import sys


class Request(http.server.BaseHTTPRequestHandler):
    def __init__(self, bytes_):
        self.rfile, self.wfile = io.BytesIO(bytes_), io.BytesIO()
        self.raw_requestline = self.rfile.readline(65537)
        self.client_address = ("test", 0)
        self.request_version = self.requestline = self.command = ""
        self.accepted = self.parse_request() and hasattr(self, "headers")

    def log_message(self, *_):
        pass


for line in sys.stdin:
    request = Request(binascii.unhexlify(line.strip()))
    print(ascii(request.headers.get("Host") or "-").strip("'") if request.accepted else "!")
