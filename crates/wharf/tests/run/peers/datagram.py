"""UDP and ICMP clients for one test: datagram.py MODE ADDRESS PORT [WORDS]. What happened is printed as one line.

echo WORD             sends WORD, prints the answer of `serve.py datagrams`: the sender's address and port as seen there, and WORD
mapping SECOND        one socket, two destinations: prints the port that each of them saw
refused               how a connected socket learns that nobody listens
large SIZE            sends SIZE bytes that must not be fragmented: the error and the path MTU that is known then
many SIZE COUNT       COUNT datagrams of SIZE bytes there and back, one at a time: how many came back whole
crowd MOST            sockets to `serve.py datagrams` until one of MOST is not served: how many were, how that one ended, whether the others
                      are still served; then, with all of them open, waits for the end of its input
hops MOST             one datagram for each hop limit from 1: who said that it ran out, separated by blanks
"""

import errno
import os
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serve import family  # noqa: E402

IP_RECVERR, IPV6_RECVERR, IP_MTU_DISCOVER, IP_MTU, IPV6_MTU_DISCOVER, IPV6_MTU = 11, 25, 10, 14, 23, 24
MSG_ERRQUEUE, PMTUDISC_DO = 0x2000, 2


def opened(address, port=None, seconds=3):
    own = socket.socket(family(address), socket.SOCK_DGRAM)
    own.settimeout(seconds)
    if port is not None:
        own.connect((address, port))
    return own


def name_of(why):
    return "silent" if isinstance(why, TimeoutError) and why.errno is None else errno.errorcode.get(why.errno, str(why))


def echo(address, port, word):
    own = opened(address)
    own.sendto(word.encode(), (address, port))
    try:
        answer, sender = own.recvfrom(65536)
    except OSError as why:
        return name_of(why)
    if sender[:2] != (address, port):
        return f"answered by {sender}"
    return answer.decode()


def mapping(address, port, second):
    own = opened(address)
    seen = []
    for far in (address, second):
        own.sendto(b"x", (far, port))
        answer, sender = own.recvfrom(65536)
        assert sender[0] == far, sender
        seen.append(answer.decode().split()[1])
    return " ".join(seen)


def refused(address, port):
    own = opened(address, port, 2)
    try:
        own.send(b"x")
        own.recv(10)
        return "answered"
    except OSError as why:
        return name_of(why)


def large(address, port, size):
    own = opened(address, port, 1)
    level, discover, mtu = (
        (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_MTU) if ":" in address else (socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_MTU)
    )
    own.setsockopt(level, discover, PMTUDISC_DO)
    outcome = "sent"
    for _ in range(4):
        try:
            own.send(b"x" * int(size))
            own.recv(10)
        except TimeoutError:
            pass
        except OSError as why:
            outcome = name_of(why)
    return f"{outcome} {own.getsockopt(level, mtu)}"


def many(address, port, size, count):
    own = opened(address, port, 2)
    back = 0
    for number in range(int(count)):
        sent = os.urandom(int(size))
        try:
            own.send(sent)
            back += own.recv(65536).split(b" ", 2)[2] == sent
        except OSError:
            pass
    return str(back)


def hops(address, port, most):
    found = []
    six = ":" in address
    for limit in range(1, int(most) + 1):
        own = opened(address, port, 2)
        if six:
            own.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, limit)
        else:
            own.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            own.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, limit)
        own.send(b"x")
        found.append(offender(own, six))
    return " ".join(found)


def crowd(address, port, most):
    held, how = [], "none was turned away"
    for number in range(int(most)):
        own = opened(address, port, 3)
        try:
            own.send(b"x")
            own.recv(100)
        except OSError as why:
            how = name_of(why)
            break
        held.append(own)
    for own in held:
        own.send(b"again")
    alive = all(own.recv(100).endswith(b"again") for own in held)
    print(f"{len(held)} {how}, earlier ones {'answer' if alive else 'are stalled'}")
    sys.stdin.read()
    return "done"


def offender(own, six):
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            own.settimeout(None)
            own.setblocking(False)
            _, ancillary, _, _ = own.recvmsg(2048, 512, MSG_ERRQUEUE)
        except OSError:
            time.sleep(0.02)
            continue
        for _, _, data in ancillary:
            _, _, kind, code = struct.unpack_from("=IBBB", data)
            exceeded = kind == (3 if six else 11) and code == 0
            address = data[24:40] if six else data[20:24]
            text = socket.inet_ntop(socket.AF_INET6 if six else socket.AF_INET, address)
            return text if exceeded else f"{text}/type{kind}code{code}"
    return "silent"


def main():
    signal.alarm(100)
    mode, address, port, words = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    modes = {"echo": echo, "mapping": mapping, "refused": refused, "large": large, "many": many, "hops": hops, "crowd": crowd}
    print(modes[mode](address, port, *words))


if __name__ == "__main__":
    main()
