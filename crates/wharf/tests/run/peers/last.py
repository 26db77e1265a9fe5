"""Both ends of what a program sends last: last.py MODE ADDRESS PORT [WORDS]. What happened is printed as one line.

send SIZE             connects, sends SIZE bytes and exits at once
give SIZE             listens, prints `ready`, sends SIZE bytes to who comes, and exits at once
cram                  connects, sends until nothing has been taken for a second, prints `sent SIZE`, and exits
answer SIZE           listens, prints `ready`; to who comes it sends SIZE bytes after the end of what it reads, closes, and goes on
burst COUNT           COUNT numbered datagrams, and exits at once
take HOW              listens, prints `ready`; reads what one connection brings as HOW says, prints what came and how it ended
fetch HOW             connects, ends its output, and reads in the same way
count COUNT           prints `ready`, then how many different datagrams of COUNT came

HOW: `slow` (a pause after each 64 KiB), `late` (nothing for three seconds), `stuck` (nothing until the connection is broken).
What came is SIZE and `whole`, `other bytes`; how it ended is `end` or the name of an error, and for `stuck` after how many seconds.
"""

import errno
import hashlib
import os
import select
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serve import family, pattern, read_all, send_pattern  # noqa: E402

SEED = 11


def listening(address, port):
    listener = socket.socket(family(address))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()
    print("ready")
    return listener


def connected(address, port):
    stream = socket.socket(family(address))
    stream.settimeout(20)
    stream.connect((address, port))
    return stream


def send(address, port, size):
    send_pattern(connected(address, port), SEED, int(size))
    os._exit(7)


def give(address, port, size):
    stream, _ = listening(address, port).accept()
    send_pattern(stream, SEED, int(size))
    os._exit(7)


def cram(address, port):
    stream = connected(address, port)
    stream.setblocking(False)
    sent = 0
    for chunk in pattern(SEED, 1 << 30):
        while chunk:
            if not select.select([], [stream], [], 1)[1]:
                print(f"sent {sent}")
                os._exit(7)
            taken = stream.send(chunk)
            sent, chunk = sent + taken, chunk[taken:]


def answer(address, port, size):
    listener = listening(address, port)
    while True:
        stream, _ = listener.accept()
        read_all(stream)
        send_pattern(stream, SEED, int(size))
        stream.close()


def burst(address, port, count):
    own = socket.socket(family(address), socket.SOCK_DGRAM)
    own.connect((address, port))
    for number in range(int(count)):
        own.send(b"%d" % number)
    os._exit(7)


def count(address, port, most):
    receiver = socket.socket(family(address), socket.SOCK_DGRAM)
    receiver.bind((address, port))
    receiver.settimeout(3)
    print("ready")
    seen = set()
    try:
        while len(seen) < int(most):
            seen.add(receiver.recv(100))
    except TimeoutError:
        pass
    print(len(seen))


def take(address, port, how):
    stream, _ = listening(address, port).accept()
    print("taken")
    print(read(stream, how))


def fetch(address, port, how):
    stream = connected(address, port)
    stream.shutdown(socket.SHUT_WR)
    print(read(stream, how))


def read(stream, how):
    stream.settimeout(30)
    began = time.monotonic()
    after = ""
    if how == "stuck":
        broken = select.poll()
        broken.register(stream, 0)
        broken.poll(30000)
        after = f" after {time.monotonic() - began:.0f}"
    if how == "late":
        time.sleep(3)
    found, size, end = hashlib.sha256(), 0, "end"
    try:
        while chunk := stream.recv(65536):
            found.update(chunk)
            size += len(chunk)
            if how == "slow":
                time.sleep(0.002)
    except OSError as why:
        end = errno.errorcode.get(why.errno, "silent")
    wanted = hashlib.sha256()
    for chunk in pattern(SEED, size):
        wanted.update(chunk)
    same = "whole" if wanted.digest() == found.digest() else "other bytes"
    return f"{size} {same} {end}{after}"


def main():
    signal.alarm(100)
    mode, address, port, words = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    modes = {"send": send, "give": give, "cram": cram, "answer": answer, "burst": burst, "count": count, "take": take, "fetch": fetch}
    modes[mode](address, port, *words)


if __name__ == "__main__":
    main()
