"""TCP clients for one test: dial.py MODE ADDRESS PORT [WORDS]. What happened is printed as one line.

errno [SECONDS]       how connect ends: `connected`, the name of the error, or `silent`
peer                  what the server says about the caller
late                  ends its output after three bytes, prints what comes then
early                 reads to the server's end, sends 1000 bytes after it, ends
reset                 sends a byte, prints how reading ends
abort                 sends a line, then RST
urgent                sends `12`, `3` as urgent data, `45` and the end of its output, and prints the answer
bulk UP DOWN FLOWS    UP bytes there and DOWN bytes back over FLOWS connections at once, checked by SHA-256 at both ends
hold COUNT            prints `begun`, waits for a line, opens COUNT connections to `nonce`, prints `held`, keeps them until input ends
limit COUNT           opens connections to `nonce` until one is not served: how many were, how that one ended, and how the others are
stall BYTES           asks for BYTES and reads nothing for a second, then all; prints how many came
"""

import errno
import hashlib
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serve import family, pattern, read_all, read_line, send_pattern  # noqa: E402


def name_of(why):
    return errno.errorcode.get(why.errno, str(why))


def connect(address, port, seconds=20.0):
    stream = socket.socket(family(address))
    stream.settimeout(seconds)
    stream.connect((address, port))
    return stream


def how_connect_ends(address, port, seconds="3"):
    try:
        stream = connect(address, port, float(seconds))
        # A connection that ended while it was made is none: it has no peer.
        stream.getpeername()
        stream.close()
        return "connected"
    except TimeoutError as why:
        return "silent" if why.errno is None else name_of(why)
    except OSError as why:
        return name_of(why)


def peer(address, port):
    return read_line(connect(address, port)).strip()


def late(address, port):
    stream = connect(address, port)
    stream.sendall(b"abc")
    stream.shutdown(socket.SHUT_WR)
    return read_all(stream).decode().replace("\n", ", ").rstrip(", ")


def early(address, port):
    stream = connect(address, port)
    said = read_all(stream).decode().strip()
    time.sleep(0.2)
    for _ in range(10):
        stream.sendall(b"x" * 100)
    stream.close()
    return said


def reset(address, port):
    try:
        stream = connect(address, port)
        stream.sendall(b"x")
        return f"read {len(stream.recv(10))}"
    except OSError as why:
        return name_of(why)


def abort(address, port):
    stream = connect(address, port)
    stream.sendall(b"hello\n")
    time.sleep(0.2)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()
    return "aborted"


def urgent(address, port):
    stream = connect(address, port)
    stream.sendall(b"12")
    stream.send(b"3", socket.MSG_OOB)
    stream.sendall(b"45")
    stream.shutdown(socket.SHUT_WR)
    return read_all(stream).decode()


def bulk(address, port, up, down, flows):
    up, down, flows = int(up), int(down), int(flows)
    wrong = []

    def one(number):
        try:
            whole(number)
        except OSError as why:
            wrong.append(f"flow {number}: {why}")

    def whole(number):
        seed = 1000 * number
        stream = connect(address, port, 120)
        stream.sendall(f"{up // flows} {down // flows} {seed}\n".encode())
        sender = threading.Thread(target=send_pattern, args=(stream, seed, up // flows))
        sender.start()
        found, left = hashlib.sha256(), down // flows
        while left and (chunk := stream.recv(min(left, 1 << 18))):
            found.update(chunk)
            left -= len(chunk)
        sender.join()
        answer = read_all(stream).decode()
        if left:
            wrong.append(f"flow {number}: {left} bytes never came")
        if found.hexdigest() != digest(seed + 1, down // flows):
            wrong.append(f"flow {number}: other bytes came than were sent")
        if answer != digest(seed, up // flows):
            wrong.append(f"flow {number}: other bytes arrived than were sent, or none")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(flows)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return "; ".join(wrong) or "whole"


def digest(seed, size):
    made = hashlib.sha256()
    for chunk in pattern(seed, size):
        made.update(chunk)
    return made.hexdigest()


def stall(address, port, size):
    stream = connect(address, port)
    stream.sendall(f"0 {size} 7\n".encode())
    time.sleep(1)
    return f"read {len(read_all(stream)) - 64}"


def nonce_comes_back(stream, word):
    stream.sendall(f"{word}\n".encode())
    return read_line(stream).strip() == word


def hold(address, port, count):
    print("begun")
    sys.stdin.readline()
    raise_limit()
    held = [connect(address, port) for _ in range(int(count))]
    right = sum(nonce_comes_back(stream, f"n{number}") for number, stream in enumerate(held))
    print(f"held {right}")
    sys.stdin.read()
    return "done"


def limit(address, port, count):
    raise_limit()
    held, how = [], "none was turned away"
    for number in range(int(count)):
        try:
            stream = connect(address, port, 5)
            if not nonce_comes_back(stream, f"n{number}"):
                how = "closed"
                break
            held.append(stream)
        except OSError as why:
            how = name_of(why) if why.errno else "silent"
            break
    alive = all(nonce_comes_back(stream, "again") for stream in held)
    return f"{len(held)} {how}, earlier ones {'answer' if alive else 'are stalled'}"


def raise_limit():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main():
    signal.alarm(170)
    mode, address, port, words = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    modes = {"errno": how_connect_ends, "peer": peer, "late": late, "early": early, "reset": reset, "abort": abort, "bulk": bulk, "stall": stall, "urgent": urgent}
    modes |= {"hold": hold, "limit": limit}
    print(modes[mode](address, port, *words))


if __name__ == "__main__":
    main()
