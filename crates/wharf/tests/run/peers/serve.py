"""Servers for one test: serve.py MODE ADDRESS PORT. Prints `ready` when it listens; ends by itself after two minutes.

TCP: echo (until the end of input), peer (says who called and closes), nonce (each line comes back), bulk (see dial.py), late (says
what it read after the client's end of input), early (ends its output first and prints how much it read after that), reset (answers the
first byte with RST), lines (prints each line it reads, or `ECONNRESET`), urgent (says what it read, then `ab`, `c` as urgent data, and `de`). UDP: datagrams (each comes back after the sender's address), mirror
(each comes back as it is), pour (the first is answered with the sender's port; a second later 20,000 more come at once and `poured` is
printed; then each is answered).
"""

import asyncio
import errno
import hashlib
import resource
import signal
import socket
import struct
import sys
import threading
import time


def pattern(seed, size):
    """`size` bytes that no other seed gives, in chunks."""
    block = hashlib.sha512(b"%d" % seed).digest() * 4096
    number = 0
    while size > 0:
        chunk = (b"%016d" % number + block)[:size]
        yield chunk
        size -= len(chunk)
        number += 1


def send_pattern(stream, seed, size):
    for chunk in pattern(seed, size):
        stream.sendall(chunk)


def read_line(stream):
    line = b""
    while not line.endswith(b"\n"):
        byte = stream.recv(1)
        if not byte:
            break
        line += byte
    return line.decode()


def read_all(stream):
    found = b""
    while chunk := stream.recv(65536):
        found += chunk
    return found


def echo(stream, _):
    while chunk := stream.recv(65536):
        stream.sendall(chunk)


def peer(stream, caller):
    stream.sendall(f"{plain(caller[0])} {caller[1]}\n".encode())


def late(stream, _):
    found = read_all(stream)
    stream.sendall(b"got %d\n" % len(found))
    time.sleep(0.3)
    stream.sendall(b"and more\n")


def early(stream, _):
    stream.sendall(b"bye\n")
    stream.shutdown(socket.SHUT_WR)
    print(f"read {len(read_all(stream))}")


def reset(stream, _):
    stream.recv(1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def lines(stream, _):
    try:
        while line := read_line(stream):
            print("line " + line.rstrip())
        print("end")
    except OSError as why:
        print(errno.errorcode[why.errno])


def urgent(stream, _):
    stream.sendall(read_all(stream))
    stream.sendall(b" ab")
    stream.send(b"c", socket.MSG_OOB)
    stream.sendall(b"de")


def bulk(stream, _):
    up, down, seed = map(int, read_line(stream).split())
    sender = threading.Thread(target=send_pattern, args=(stream, seed + 1, down))
    sender.start()
    found, left = hashlib.sha256(), up
    while left and (chunk := stream.recv(min(left, 1 << 18))):
        found.update(chunk)
        left -= len(chunk)
    sender.join()
    stream.sendall(found.hexdigest().encode())


def serve_each(listener, handle):
    def answer(stream, caller):
        with stream:
            handle(stream, caller)

    while True:
        stream, caller = listener.accept()
        threading.Thread(target=answer, args=(stream, caller), daemon=True).start()


def serve_nonces(listener):
    async def answer(reader, writer):
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    async def main():
        server = await asyncio.start_server(answer, sock=listener, backlog=8192)
        await server.serve_forever()

    asyncio.run(main())


def serve_datagrams(mode, address, port):
    receiver = socket.socket(family(address), socket.SOCK_DGRAM)
    receiver.bind((address, port))
    print("ready")
    if mode == "mirror":
        return serve_mirror(receiver)
    if mode == "pour":
        return serve_pour(receiver)
    while True:
        data, caller = receiver.recvfrom(65536)
        receiver.sendto(f"{plain(caller[0])} {caller[1]} ".encode() + data, caller)


def serve_mirror(receiver):
    while True:
        data, caller = receiver.recvfrom(65536)
        receiver.sendto(data, caller)


def serve_pour(receiver):
    _, caller = receiver.recvfrom(65536)
    receiver.sendto(b"%d" % caller[1], caller)
    time.sleep(1)
    for number in range(20000):
        receiver.sendto(b"%d" % number, caller)
    print("poured")
    serve_mirror(receiver)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def plain(address):
    return address.removeprefix("::ffff:").split("%")[0]


def main():
    mode, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    signal.alarm(120)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if mode in ("datagrams", "mirror", "pour"):
        return serve_datagrams(mode, address, port)
    listener = socket.socket(family(address))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address == "::":
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((address, port))
    listener.listen(4096)
    print("ready")
    if mode == "nonce":
        return serve_nonces(listener)
    handlers = {"echo": echo, "peer": peer, "late": late, "early": early, "reset": reset, "lines": lines, "bulk": bulk, "urgent": urgent}
    return serve_each(listener, handlers[mode])


if __name__ == "__main__":
    main()
