#!/usr/bin/env python3
"""sockets.py PROCESSES SOCKETS: holds so many TCP sockets in so many processes until its standard input ends.

Each process has a listener on 127.0.0.1, connections to it (both ends are its own) and a UDP socket. Prints `ready PORT`, PORT
being the listener of the process in the middle, when all is open. To be started in a network namespace of its own.
"""

import ctypes
import os
import resource
import signal
import socket
import sys


def hold(pairs, told, rest):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    held = [udp]
    for _ in range(pairs):
        client = socket.socket()
        client.connect(listener.getsockname())
        held += [client, listener.accept()[0]]
    os.write(told, b"%d\n" % listener.getsockname()[1])
    os.close(told)
    os.read(rest, 1)


def main():
    processes, sockets = int(sys.argv[1]), int(sys.argv[2])
    pairs = (sockets // processes - 2) // 2
    limit = max(pairs * 2 + 64, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    ports = []
    rest, _keep = os.pipe()
    for _ in range(processes):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(_keep)
            os.close(reader)
            sys.stdin.close()
            hold(pairs, writer, rest)
            os._exit(0)
        os.close(writer)
        ports.append(reader)
    ports = [int(os.read(reader, 16)) for reader in ports]
    print("ready", ports[processes // 2], flush=True)
    sys.stdin.read()


main()
