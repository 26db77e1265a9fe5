"""A name server for tests, on 127.0.0.1 over UDP and TCP; the first label of the question says how it behaves.

Prints its port, then waits. Standard library only, so that it shares no code with what it tests.
"""

import socket
import socketserver
import struct
import sys
import threading


def question_of(message):
    at = 12
    labels = []
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]])
        at += 1 + message[at]
    return b".".join(labels).decode().lower(), message[12 : at + 5]


def response(query, flags=0x8180, texts=(), question=None, ident=None):
    name, own = question_of(query)
    question = own if question is None else question
    ident = query[:2] if ident is None else ident
    records = b"".join(
        b"\xc0\x0c" + struct.pack(">HHIH", 16, 1, 60, 1 + len(text)) + bytes([len(text)]) + text for text in texts
    )
    return ident + struct.pack(">HHHHH", flags, 1 if question else 0, len(texts), 0, 0) + question + records


def texts(count):
    return [b"%03d" % index + b"x" * 97 for index in range(count)]


def answers(query, over_tcp, client):
    name, question = question_of(query)
    kind = name.split(".")[0]
    if kind == "silent":
        return []
    if kind == "big":
        return [response(query, texts=texts(40))] if over_tcp else [response(query, 0x8380)]
    if kind == "onlyudp":
        return [response(query, 0x8380, texts(2))] if not over_tcp else []
    if kind == "medium":
        return [response(query, texts=texts(8))]
    if kind == "servfail":
        return [response(query, 0x8182)]
    if kind == "refused":
        return [response(query, 0x8185)]
    if kind == "broken":
        return [response(query, texts=texts(1))[:-5]]
    if kind == "unread":
        return [response(query, 0x8181, question=b"")]
    if kind == "forged":
        wrong = bytes([query[0] ^ 1, query[1]])
        other = question.replace(b"\x06forged", b"\x06FORGET")
        return [
            response(query, texts=[b"wrong id"], ident=wrong),
            response(query, texts=[b"wrong question"], question=other),
            query,
            b"",
            response(query, texts=[b"right"]),
        ]
    how = b"tcp" if over_tcp else b"udp"
    return [response(query, texts=[b"%s %d %d" % (how, client[1], struct.unpack(">H", query[:2])[0])])]


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        query, sock = self.request
        for answer in answers(query, False, self.client_address):
            sock.sendto(answer, self.client_address)


class Stream(socketserver.StreamRequestHandler):
    def handle(self):
        (length,) = struct.unpack(">H", self.rfile.read(2))
        for answer in answers(self.rfile.read(length), True, self.client_address):
            # In two pieces, as a network may.
            message = struct.pack(">H", len(answer)) + answer
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.wfile.write(message[:1])
            self.wfile.flush()
            self.wfile.write(message[1:])


class Both(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


udp = socketserver.UDPServer(("127.0.0.1", 0), Datagram)
if sys.argv[1:] != ["udp"]:
    tcp = Both(udp.server_address, Stream)
    threading.Thread(target=tcp.serve_forever, daemon=True).start()
print(udp.server_address[1], flush=True)
udp.serve_forever()
