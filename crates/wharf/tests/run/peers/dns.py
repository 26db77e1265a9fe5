"""A name server for one test: dns.py ADDRESS WORD, UDP and TCP on port 53. Prints `ready`, then one line a query.

a.test has one A and one AAAA, server.test and alias.test have the server's A, WHICH.test (any letters' case) has a TXT of WORD, large.test has a TXT too long for UDP: over UDP it is
truncated, over TCP whole. All other names don't exist.
"""

import socket
import socketserver
import struct
import sys
import threading

A, TXT, AAAA, IN = 1, 16, 28, 1
ADDRESS, WORD = sys.argv[1], sys.argv[2]


def records(name, kind):
    if name == "a.test":
        return [r for r in ((A, socket.inet_aton("192.0.2.10")), (AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8::10"))) if r[0] == kind]
    if name in ("server.test", "alias.test"):
        return [(A, socket.inet_aton("198.51.100.2"))] if kind == A else []
    if name == "which.test":
        return [(TXT, bytes([len(WORD)]) + WORD.encode())] if kind == TXT else []
    if name == "large.test":
        return [(TXT, b"\xc8" + b"%03d" % number + b"x" * 197) for number in range(30)] if kind == TXT else []
    return None


def answer(query, over):
    ident, flags, _, _, _, _ = struct.unpack_from("!6H", query)
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length])
        at += 1 + length
    kind, _ = struct.unpack_from("!2H", query, at + 1)
    question = query[12 : at + 5]
    name = b".".join(labels).decode().lower()
    found = records(name, kind)
    print(f"{over} {name} {kind}")
    code = 3 if found is None else 0
    body = b"".join(struct.pack("!3HIH", 0xC00C, t, IN, 60, len(data)) + data for t, data in found or ())
    cut = over == "udp" and len(body) > 450
    head = struct.pack("!6H", ident, 0x8480 | (flags & 0x0100) | (0x0200 if cut else 0) | code, 1, 0 if cut else len(found or ()), 0, 0)
    return head + question + (b"" if cut else body)


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        data, own = self.request
        own.sendto(answer(data, "udp"), self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        while len(length := self.rfile.read(2)) == 2:
            reply = answer(self.rfile.read(struct.unpack("!H", length)[0]), "tcp")
            self.wfile.write(struct.pack("!H", len(reply)) + reply)


class TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class UdpServer(socketserver.UDPServer):
    allow_reuse_address = True


def main():
    if ":" in ADDRESS:
        TcpServer.address_family = UdpServer.address_family = socket.AF_INET6
    tcp = TcpServer((ADDRESS, 53), Tcp)
    udp = UdpServer((ADDRESS, 53), Udp)
    threading.Thread(target=tcp.serve_forever, daemon=True).start()
    threading.Timer(120, udp.shutdown).start()
    print("ready", flush=True)
    udp.serve_forever()


if __name__ == "__main__":
    main()
