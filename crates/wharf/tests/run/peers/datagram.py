"""UDP and ICMP clients for one test: datagram.py MODE ADDRESS PORT [WORDS]. What happened is printed as one line.

echo WORD             sends WORD, prints the answer of `serve.py datagrams`: the sender's address and port as seen there, and WORD
mapping SECOND        one socket, two destinations: prints the port that each of them saw
refused               how a connected socket learns that nobody listens
large SIZE            sends SIZE bytes that must not be fragmented: the error and the path MTU that is known then
many SIZE COUNT       COUNT datagrams of SIZE bytes there and back, one at a time: how many came back whole
mirrored SIZE COUNT   the same with `serve.py mirror`, so that the largest fit
burst SECOND          40 datagrams of many sizes to two ports of `serve.py mirror`, none awaited: how many came back as they went, in order
among CLOSED COUNT    COUNT datagrams by turns to a port that answers and to one that nobody has: how many came back, and whose refusal
filled                from `serve.py pour`: prints the port that it sees, reads until nothing comes, asks once more, prints `asked`, and waits
flood COUNT           waits for a line, sends COUNT datagrams, and prints how many frames the interface dropped
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
    return there_and_back(address, port, size, count, lambda answer: answer.split(b" ", 2)[2])


def mirrored(address, port, size, count):
    return there_and_back(address, port, size, count, lambda answer: answer)


def there_and_back(address, port, size, count, payload):
    own = opened(address, port, 2)
    back = 0
    for _ in range(int(count)):
        sent = os.urandom(int(size))
        try:
            own.send(sent)
            back += payload(own.recv(65536)) == sent
        except OSError:
            pass
    return str(back)


def burst(address, port, second):
    own = opened(address, seconds=5)
    sizes = [0, 1, 1400, 1400, 1400, 700, 1400, 9000, 1, 0] * 4
    sent = {port: [], int(second): []}
    for number, size in enumerate(sizes):
        far = (port, int(second))[number // 3 % 2]
        data = os.urandom(size)
        sent[far].append(data)
        own.sendto(data, (address, far))
    back = {far: [] for far in sent}
    try:
        for _ in sizes:
            data, sender = own.recvfrom(65536)
            back[sender[1]].append(data)
    except TimeoutError:
        pass
    for far, wanted in sent.items():
        if back[far] != wanted:
            return f"{far}: sent {[len(one) for one in wanted]}, came {[len(one) for one in back[far]]}"
    return str(len(sizes))


def among(address, port, closed, count):
    own = opened(address, seconds=2)
    level, option = (socket.IPPROTO_IPV6, IPV6_RECVERR) if ":" in address else (socket.IPPROTO_IP, IP_RECVERR)
    own.setsockopt(level, option, 1)
    refusals, back = set(), 0
    for number in range(int(count)):
        try:
            own.sendto(b"x" * 100, (address, (port, int(closed))[number % 2]))
        except ConnectionRefusedError:
            # Of an earlier one, told in place of sending this one.
            own.sendto(b"x" * 100, (address, (port, int(closed))[number % 2]))
    end = time.monotonic() + 4
    while time.monotonic() < end and (back < int(count) // 2 or not refusals):
        own.setblocking(False)
        try:
            back += len(own.recv(65536)) == 100
        except ConnectionRefusedError:
            pass
        except BlockingIOError:
            time.sleep(0.01)
        try:
            refusals.add(own.recvmsg(2048, 512, MSG_ERRQUEUE)[3][1])
        except OSError:
            pass
    return f"{back} {refusals}"


def filled(address, port):
    own = opened(address, port, 5)
    own.send(b"x")
    print(own.recv(100).decode())
    try:
        while own.recv(100):
            own.settimeout(1)
    except TimeoutError:
        pass
    # What was dropped is told with the next one.
    own.settimeout(5)
    own.send(b"last")
    while own.recv(100) != b"last":
        pass
    print("asked")
    sys.stdin.readline()
    return "end"


def flood(address, port, count):
    own = opened(address, port)
    print("ready")
    sys.stdin.readline()
    for _ in range(int(count)):
        own.send(b"x")
    with open("/proc/net/dev", encoding="ascii") as lines:
        fields = next(line for line in lines if "eth0:" in line).split(":")[1].split()
    print(f"dropped {fields[11]}")
    sys.stdin.readline()
    return "end"


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
    modes |= {"mirrored": mirrored, "burst": burst, "among": among, "filled": filled, "flood": flood}
    print(modes[mode](address, port, *words))


if __name__ == "__main__":
    main()
