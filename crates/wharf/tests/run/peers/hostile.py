"""Frames no honest stack sends: hostile.py COUNT SEED GATEWAY. Needs CAP_NET_RAW in its network; prints `sent COUNT`.

A third are random bytes behind a valid Ethernet header, the rest are valid IPv4, IPv6, ARP, TCP, UDP, ICMP and DHCP frames
with some bytes changed, cut short or drawn out. The seed makes a failure repeatable.
"""

import random
import signal
import socket
import struct
import sys
import time

ETH_IP4, ETH_IP6, ETH_ARP = 0x0800, 0x86DD, 0x0806


def link():
    for line in open("/proc/net/route").read().splitlines()[1:]:
        words = line.split()
        if words[1] == "00000000":
            return words[0]
    sys.exit("no default route")


def gateway_mac(address):
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(50):
        probe.sendto(b"", (address, 9))
        time.sleep(0.05)
        for line in open("/proc/net/arp").read().splitlines()[1:]:
            words = line.split()
            if words[0] == address and words[3] != "00:00:00:00:00:00":
                return bytes.fromhex(words[3].replace(":", ""))
    sys.exit(f"{address} has no hardware address")


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip4(protocol, payload, target, flags=0):
    source = socket.inet_aton("10.0.2.100")
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), random.getrandbits(16), flags, 64, protocol, 0, source, socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ip6(protocol, payload, target="ff02::1"):
    source = socket.inet_pton(socket.AF_INET6, "fe80::1")
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, 255, source, socket.inet_pton(socket.AF_INET6, target)) + payload


def tcp():
    flags = random.choice((0x02, 0x02, 0x10, 0x12, 0x14, 0x18, 0x11, 0x3F, 0))
    options = random.choice((b"", b"\x02\x04\x05\xb4", b"\x03\x03\x0e\x00", b"\x08\x0a" + random.randbytes(8) + b"\x00\x00", b"\x05\x12" + random.randbytes(16) + b"\x00\x00"))
    return struct.pack("!HHIIBBHHH", random.randrange(1, 65536), random.randrange(1, 65536), random.getrandbits(32), random.getrandbits(32), (5 + len(options) // 4) << 4, flags, random.getrandbits(16), 0, 0) + options + random.randbytes(random.choice((0, 0, 1, 600)))


def udp(port):
    payload = random.randbytes(random.choice((0, 12, 100, 1200)))
    return struct.pack("!HHHH", random.randrange(1, 65536), port, 8 + len(payload), 0) + payload


def frame(gateway, own, router):
    # Never to a host outside: what is sent to it would be a real datagram of this test.
    target = random.choice((router, router, "10.0.2.3", "10.0.2.77", "255.255.255.255", "127.0.0.1", "169.254.169.254", "0.0.0.0"))
    kind = random.randrange(8)
    if kind == 0:
        ether, body = random.choice((ETH_IP4, ETH_IP6, ETH_ARP, random.getrandbits(16))), random.randbytes(random.randrange(0, 1400))
    elif kind == 1:
        ether, body = ETH_ARP, struct.pack("!HHBBH6s4s6s4s", 1, ETH_IP4, 6, 4, random.choice((1, 2, 9)), own, socket.inet_aton("10.0.2.77"), gateway, socket.inet_aton(router))
    elif kind == 2:
        ether, body = ETH_IP4, ip4(6, tcp(), target)
    elif kind == 3:
        ether, body = ETH_IP4, ip4(17, udp(random.choice((53, 67, 9, random.randrange(1, 65536)))), target)
    elif kind == 4:
        ether, body = ETH_IP4, ip4(17, udp(53), target, random.choice((0x2000, 0x2000 | random.getrandbits(13), random.getrandbits(13))))
    elif kind == 5:
        ether, body = ETH_IP4, ip4(1, struct.pack("!BBHHH", random.choice((0, 3, 8, 11, 13, 255)), random.randrange(16), 0, 1, 1) + random.randbytes(40), target)
    elif kind == 6:
        ether, body = ETH_IP6, ip6(58, struct.pack("!BBHI", random.choice((1, 2, 3, 128, 133, 134, 135, 136, 200)), 0, 0, 0) + random.randbytes(random.choice((16, 24, 60))))
    else:
        ether, body = ETH_IP6, ip6(random.choice((0, 43, 44, 60, 6, 17)), bytes((random.choice((0, 43, 44, 59, 60)), random.randrange(4))) + random.randbytes(random.randrange(6, 200)))
    return mutated(gateway + own + struct.pack("!H", ether), body)


def mutated(head, body):
    body = bytearray(body)
    for _ in range(random.choice((0, 0, 1, 1, 3, 8))):
        if body:
            body[random.randrange(len(body))] = random.getrandbits(8)
    if body and random.random() < 0.15:
        del body[random.randrange(len(body)) :]
    if random.random() < 0.05:
        body += random.randbytes(random.randrange(1, 100))
    return head + bytes(body)


def main():
    count, seed, router = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    signal.alarm(170)
    random.seed(seed)
    device = link()
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind((device, 0))
    own, gateway = raw.getsockname()[4], gateway_mac(router)
    ready = [frame(gateway, own, router) for _ in range(min(count, 50000))]
    sent = 0
    while sent < count:
        try:
            raw.send(ready[sent] if sent < len(ready) else mutated(ready[sent % len(ready)][:14], ready[sent % len(ready)][14:]))
        except OSError:
            pass  # Longer than the link takes, or its queue is full: the frame counts as tried.
        sent += 1
    print(f"sent {sent}")


main()
