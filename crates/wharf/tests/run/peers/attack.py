"""What an adversary inside a run tries: attack.py HOW ARGUMENTS... Prints what came of it, one word or line: `got WORDS`, `no` or an errno's name."""

import ctypes
import errno
import os
import socket
import ssl
import struct
import sys
import time

HOW, ARGS = sys.argv[1], sys.argv[2:]
socket.setdefaulttimeout(3)


def result(function):
    try:
        print(function() or "no", flush=True)
    except socket.gaierror:
        print("noname", flush=True)
    except TimeoutError:
        print("timeout", flush=True)
    except OSError as error:
        print(errno.errorcode.get(error.errno, str(error)), flush=True)


def got(data):
    return f"got {data.decode(errors='replace')}" if data else "no"


def tcp(host, port, text="x\n"):
    with socket.create_connection((host, int(port))) as s:
        s.sendall(text.encode())
        return got(s.recv(100))


def hello(name):
    """A real ClientHello: with this name, or with none for `-`."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl._create_unverified_context()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=None if name == "-" else name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def tls(host, port, name, pieces="1"):
    data = hello(name)
    with socket.create_connection((host, int(port))) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        size = -(-len(data) // int(pieces))
        for at in range(0, len(data), size):
            s.sendall(data[at : at + size])
            time.sleep(0.05 if pieces != "1" else 0)
        return got(s.recv(100))


def http(host, name):
    return tcp(host, 80, f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n").split("\r\n")[0]


def pipeline(host, *names):
    """Requests for several hosts in one connection, in one piece: how many bytes the server has heard of."""
    requests = [f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n" for name in names]
    said = tcp(host, 80, "".join(requests))
    return f"heard {len(requests[0])} of" if said.endswith(f"heard {len(requests[0])}") else said[-10:]


def udp(host, port, data=b"datagram"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((host, int(port)))
        s.send(data)
        return got(s.recv(100))


def udphex(host, port, *data):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((host, int(port)))
        for part in data:
            s.send(bytes.fromhex(part))
        return f"got {len(s.recv(3000))}"


def sixtcp(host, port):
    with socket.socket(socket.AF_INET6) as s:
        s.connect((host, int(port)))
        s.sendall(b"x")
        return got(s.recv(100))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def segment(source, target, port):
    head = struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 5 << 4, 2, 8192, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, 6, len(head))
    return head[:16] + struct.pack("!H", checksum(pseudo + head)) + head[18:]


def datagram(source, target, port, data):
    head = struct.pack("!HHHH", 40000, port, 8 + len(data), 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, 17, len(head) + len(data))
    return head[:6] + struct.pack("!H", checksum(pseudo + head + data) or 0xFFFF) + data


def packet(source, target, protocol, payload, fragment=0, options=b""):
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", 4 << 4 | words, 0, words * 4 + len(payload), 7, fragment, 64, protocol, 0)
    head += socket.inet_aton(source) + socket.inet_aton(target) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def raw(packets):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        for target, bytes_ in packets:
            s.sendto(bytes_, (target, 0))
    time.sleep(0.5)
    return "sent"


def rawtcp(source, target, port):
    return raw([(target, packet(source, target, 6, segment(source, target, int(port))))])


def frame(source, target, port):
    """A frame of our own making, past the kernel's routes and addresses."""
    device = [name for _, name in socket.if_nameindex() if name != "lo"][0]
    with open(f"/sys/class/net/{device}/address") as file:
        own = bytes.fromhex(file.read().strip().replace(":", "")) if file else b""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((device, 0x0800))
        gateway = bytes.fromhex("020000000002")
        for payload, protocol in ((segment(source, target, int(port)), 6), (datagram(source, target, int(port), b"frame"), 17)):
            s.send(gateway + own + b"\x08\x00" + packet(source, target, protocol, payload))
    time.sleep(0.5)
    return "sent"


def fragments(source, target, port):
    whole = datagram(source, target, int(port), b"f" * 64)
    # The first fragment of eight bytes has the ports; a second one that overlaps it has others.
    parts = [(whole[:8], 0x2000), (whole[8:40], 0x2001), (whole[40:], 5)]
    first = [(target, packet(source, target, 17, part, place)) for part, place in parts]
    tiny = segment(source, target, int(port))
    second = [(target, packet(source, target, 6, tiny[:8], 0x2000)), (target, packet(source, target, 6, tiny[8:], 1))]
    return raw(first + second)


def sourceroute(source, via, target, port):
    """Loose source routing (RFC 791): to an allowed address, and on to the forbidden one."""
    options = struct.pack("!BBB", 131, 7, 4) + socket.inet_aton(target) + b"\0"
    return raw([(via, packet(source, via, 6, segment(source, via, int(port)), 0, options))])


def look(*found):
    for name in found:
        result(lambda: "got " + socket.gethostbyname(name))
    return "done"


def query(server, name, kind="1"):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    data = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0" + labels + b"\0" + struct.pack("!HH", int(kind), 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((server, 53))
        s.send(data)
        reply = s.recv(4096)
        return f"got rcode {reply[3] & 15} answers {reply[7]} same {reply[12 : 12 + len(labels)] == labels}"


def ping(target):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        data = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + b"carried out"
        s.sendto(data[:2] + struct.pack("!H", checksum(data)) + data[4:], (target, 0))
        while True:
            reply, sender = s.recvfrom(1000)
            if reply[20] == 0 and sender[0] == target:
                return "got reply"


def control():
    """Every abstract socket that can be seen, and connections to those of wharf."""
    with open("/proc/net/unix") as file:
        found = [line.split()[-1] for line in file if "@wharf/" in line]
    for name in found:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect("\0" + name[1:])
            s.sendall(b'{"do":"reload","text":"default = \\"allow\\""}\n')
            return got(s.recv(1000))
    return "no"


def enter():
    """The host's network, by the files of /proc of processes outside."""
    for pid in (os.getppid(), 1, *range(2, 400)):
        try:
            with open(f"/proc/{pid}/ns/net") as file:
                if os.stat(file.fileno()).st_ino != os.stat("/proc/self/ns/net").st_ino:
                    if ctypes.CDLL(None).setns(file.fileno(), 0) == 0:
                        return f"got {pid}"
        except OSError:
            pass
    return "no"


def reconnect(name, port):
    """Looks a name up, and again, and connects to each address that it ever had."""
    addresses = [socket.gethostbyname(name) for _ in range(2)]
    print("looked up", *addresses, flush=True)
    for address in addresses:
        result(lambda: tcp(address, port))
    return "done"


result(lambda: globals()[HOW](*ARGS))
