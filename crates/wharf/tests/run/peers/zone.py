"""The world that a guarded run talks to: zone.py, on the server's addresses. A name server (UDP, port 53) for the names below, and on
each of its addresses TCP servers on 80, 443 and 22, and an echo of UDP on 443 and 5000. Prints `ready`, then a line for each
query (`query NAME KIND`), connection (`tcp ADDRESS PORT`), first bytes (`bytes ADDRESS PORT N`) and datagram (`udp ADDRESS PORT N`).

TCP servers answer what comes first with `heard N`, the number of its bytes, in the form that HTTP wants on port 80.
"""

import socket
import struct
import threading

ONE, TWO, ONE6 = "198.51.100.2", "198.51.100.3", "2001:db8:5::2"
A, CNAME, TXT, AAAA, HTTPS = 1, 5, 16, 28, 65
flips = 0


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def four(address):
    return socket.inet_aton(address)


def records(name):
    global flips
    fixed = {
        "good.test": [(name, A, 60, four(ONE))],
        "evil.test": [(name, A, 60, four(ONE))],
        "only.test": [(name, A, 60, four(TWO))],
        "www.good.test": [(name, A, 60, four(ONE))],
        "deep.www.good.test": [(name, A, 60, four(ONE))],
        "notgood.test": [(name, A, 60, four(TWO))],
        "zero.test": [(name, A, 0, four(ONE))],
        "six.test": [(name, AAAA, 60, socket.inet_pton(socket.AF_INET6, ONE6))],
        "alias.test": [(name, CNAME, 60, wire("edge.test")), ("edge.test", A, 60, four(ONE))],
        "edge.test": [(name, A, 60, four(ONE))],
        "svc.test": [(name, HTTPS, 60, struct.pack("!H", 1) + wire("target.test") + struct.pack("!HH", 4, 4) + four(ONE))],
        "target.test": [(name, A, 60, four(ONE))],
        "rebind.test": [(name, A, 60, four("169.254.169.254")), (name, A, 60, four("127.0.0.1"))],
    }
    if name == "flip.test":
        flips += 1
        return [(name, A, 0, four(ONE if flips == 1 else TWO))]
    return fixed.get(name)


def answer(query):
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    (kind,) = struct.unpack_from("!H", query, at + 1)
    print(f"query {'.'.join(labels)} {kind}", flush=True)
    found = records(".".join(labels).lower())
    said = [r for r in found or () if r[1] == kind or r[1] == CNAME or found[0][1] == CNAME and kind == A]
    body = b"".join(wire(name) + struct.pack("!HHIH", t, 1, ttl, len(data)) + data for name, t, ttl, data in said)
    head = query[:2] + struct.pack("!5H", 0x8180 | (3 if found is None else 0), 1, len(said), 0, 0)
    return head + query[12 : at + 5] + body


def names():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((ONE, 53))
    while True:
        query, client = server.recvfrom(4096)
        server.sendto(answer(query), client)


def one(client, address, port):
    print(f"tcp {address} {port}", flush=True)
    try:
        first = client.recv(65536)
        print(f"bytes {address} {port} {len(first)}", flush=True)
        said = b"heard %d" % len(first)
        if port == 80:
            said = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said)
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
    except OSError:
        pass
    client.close()


def listen(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.create_server((address, port), family=family, backlog=64)
    while True:
        client, _ = server.accept()
        threading.Thread(target=one, args=(client, address, port), daemon=True).start()


def echo(address, port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, port))
    while True:
        data, client = server.recvfrom(65536)
        print(f"udp {address} {port} {len(data)}", flush=True)
        server.sendto(data, client)


jobs = [(names, ())]
jobs += [(listen, (address, port)) for address in (ONE, TWO, ONE6) for port in (80, 443, 22)]
jobs += [(echo, (address, port)) for address in (ONE, TWO) for port in (443, 5000)]
for job, args in jobs:
    threading.Thread(target=job, args=args, daemon=True).start()
threading.Timer(0.3, lambda: print("ready", flush=True)).start()
threading.Event().wait(150)
