"""sockets.py SEED PROCESSES EACH COMMAND...: makes random sockets in a network namespace of its own, then runs each COMMAND.

To be started as root in a network namespace of its own. PROCESSES processes of three users hold EACH sockets or so of all kinds;
some share theirs with a fork, some pass them to others. Prints one JSON document: what each command printed, and what each process
holds, by itself and as `/proc` has it.
"""

import ctypes
import json
import os
import random
import socket
import struct
import subprocess
import sys

USERS = [0, 65534, 12345]
MAPPED = "::ffff:127.0.0.1"
held = []
bound = []


def run(line):
    subprocess.run(line.split(), check=True)


def network():
    """lo, and a pair of interfaces with link-local addresses. What is sent to 192.0.2.0/24 is never answered."""
    run("ip link set lo up")
    run("ip link add v0 type veth peer name v1")
    for name, last in (("v0", "1"), ("v1", "2")):
        run(f"ip link set {name} addrgenmode none")
        run(f"ip link set {name} up")
        run(f"ip addr add fe80::{last}/64 dev {name} nodad")
    run("ip addr add 192.0.2.1/24 dev v0")
    run("ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev v0")


def make(family, kind, address, scope=0, only=None, protocol=0):
    one = socket.socket(family, kind, protocol)
    if only is not None:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
    one.bind((address, 0) if family == socket.AF_INET else (address, 0, 0, scope))
    held.append(one)
    return one


def place(rng):
    """An address to listen on: family, address, scope, IPV6_V6ONLY."""
    zone = socket.if_nametoindex("v0")
    return rng.choice([
        (socket.AF_INET, "127.0.0.1", 0, None), (socket.AF_INET, "0.0.0.0", 0, None), (socket.AF_INET, "127.9.8.7", 0, None),
        (socket.AF_INET6, "::1", 0, None), (socket.AF_INET6, "::", 0, 0), (socket.AF_INET6, "::", 0, 1),
        (socket.AF_INET6, "fe80::1", zone, None), (socket.AF_INET6, MAPPED, 0, 0),
    ])


def listener(rng, protocol=0):
    family, address, scope, only = place(rng)
    one = make(family, socket.SOCK_STREAM, address, scope, only, protocol)
    one.listen(rng.randrange(1, 300))
    return one


def reach(one):
    """How a listener is reached: family and address."""
    name = one.getsockname()
    if one.family == socket.AF_INET:
        return socket.AF_INET, (name[0] if name[0] != "0.0.0.0" else "127.0.0.1", name[1])
    if name[0] == "::" and not one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        return socket.AF_INET, ("127.0.0.1", name[1])
    if name[0] == MAPPED:
        return socket.AF_INET, ("127.0.0.1", name[1])
    return socket.AF_INET6, ("::1" if name[0] == "::" else name[0], name[1], 0, name[3])


def connection(rng):
    one = listener(rng)
    family, address = reach(one)
    client = socket.socket(family, socket.SOCK_STREAM)
    client.connect(address)
    server = one.accept()[0]
    held.extend([client, server])
    return client, server


def lives(rng):
    client, server = connection(rng)
    if rng.randrange(2):
        client.send(b"x" * rng.randrange(1, 3000))


def time_wait(rng):
    client, server = connection(rng)
    first, second = rng.sample([client, server], 2)
    first.close()
    second.recv(1)
    second.close()


def half_closed(rng):
    client, server = connection(rng)
    client.shutdown(socket.SHUT_WR)


def orphan(rng):
    client, server = connection(rng)
    client.close()


def waiting(rng):
    one = listener(rng)
    family, address = reach(one)
    client = socket.socket(family, socket.SOCK_STREAM)
    client.connect(address)
    held.append(client)


def asking(rng):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(("192.0.2.9", rng.randrange(1, 65536)))
    held.append(one)


def only_bound(rng):
    family, address, scope, only = place(rng)
    one = make(family, socket.SOCK_STREAM, address, scope, only)
    bound.append(os.fstat(one.fileno()).st_ino)


def datagrams(rng):
    family, address, scope, only = place(rng)
    one = make(family, socket.SOCK_DGRAM, address, scope, only)
    if rng.randrange(2):
        family, address = reach(one)
        other = socket.socket(family, socket.SOCK_DGRAM)
        other.connect(address)
        other.send(b"x" * rng.randrange(0, 200))
        held.append(other)


def tied(rng):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if os.geteuid() == 0:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, rng.choice([b"lo", b"v0"]))
    one.bind(("0.0.0.0", 0))
    held.append(one)


def shared_port(rng):
    first = None
    for _ in range(3):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(first or ("127.0.0.1", 0))
        first = one.getsockname()
        one.listen()
        held.append(one)


def multipath(rng):
    try:
        listener(rng, 262)
    except OSError:
        listener(rng)


KINDS = [lives, lives, lives, time_wait, half_closed, orphan, waiting, asking, only_bound, datagrams, datagrams, tied, shared_port,
         multipath, listener]


def process(number, seed, each, told, passed, rest):
    rng = random.Random(f"{seed}/{number}")
    ctypes.CDLL(None).prctl(15, f"holder {number}".encode())
    user = USERS[number % len(USERS)]
    if user:
        os.setgid(user)
        os.setuid(user)
        ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: who has changed users is else hidden from its own user too
    while len(held) < each:
        rng.choice(KINDS)(rng)
    held[:] = [one for one in held if one.fileno() >= 0]
    if number % 5 == 0:
        some = rng.sample(held, 3)
        socket.send_fds(passed[0], [b"s"], [one.fileno() for one in some])
    if number % 5 == 1:
        held.extend(socket.recv_fds(passed[1], 1, 3)[1])
    for end in passed:
        end.close()
    if number % 7 == 0 and os.fork() == 0:
        ctypes.CDLL(None).prctl(15, f"worker {number}".encode())
        make(socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1")
    os.write(told, json.dumps({"pid": os.getpid(), "uid": user, "bound": bound}).encode() + b"\n")
    os.read(rest, 1)
    os._exit(0)


def of_proc():
    """Who holds which socket, as /proc has it: [inode, pid]."""
    pairs = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                link = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                if link.startswith("socket:["):
                    pairs.add((int(link[8:-1]), int(pid)))
        except OSError:
            pass
    return sorted(pairs)


def main():
    seed, processes, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    network()
    rest, keep = os.pipe()
    reader, told = os.pipe()
    for number in range(processes):
        if number % 5 == 0:
            passed = socket.socketpair()
        if os.fork() == 0:
            os.close(keep)
            process(number, seed, each, told, passed, rest)
        if number % 5 == 1:
            for end in passed:
                end.close()
    forks = sum(1 for number in range(processes) if number % 7 == 0)
    with os.fdopen(reader) as lines:
        holders = [json.loads(lines.readline()) for _ in range(processes + forks)]
    printed = []
    for line in sys.argv[4:]:
        done = subprocess.run(line.split(), capture_output=True, text=True)
        printed.append(done.stdout)
        if done.returncode:
            sys.exit(f"{line}: {done.returncode}: {done.stderr}")
    json.dump({"holders": holders, "printed": printed, "proc": of_proc()}, sys.stdout)


main()
