"""A crowd for one test: crowd.py ADDRESS PORT COUNT SLOW-PORT. COUNT connections at once to `serve.py nonce`, each with its own line.

First all connect, and stay; then a reader on SLOW-PORT asks `serve.py bulk` for 64 MiB and reads nothing; then each sends its nonce and
must get it back within ten seconds. Prints how many were answered rightly, and the longest wait in milliseconds.
"""

import asyncio
import resource
import secrets
import signal
import socket
import sys
import time


async def main():
    address, port, count, slow_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    gate = asyncio.Semaphore(200)

    async def connect():
        async with gate:
            return await asyncio.wait_for(asyncio.open_connection(address, port), 30)

    crowd = await asyncio.gather(*(connect() for _ in range(count)))
    slow = socket.create_connection((address, slow_port), 10)
    slow.sendall(b"0 67108864 1\n")
    await asyncio.sleep(0.3)

    async def ask(reader, writer):
        nonce = secrets.token_hex(16).encode() + b"\n"
        began = time.monotonic()
        writer.write(nonce)
        try:
            got = await asyncio.wait_for(reader.readline(), 10)
        except (TimeoutError, asyncio.TimeoutError, OSError):
            got = b""
        return got == nonce, time.monotonic() - began

    answers = await asyncio.gather(*(ask(*pair) for pair in crowd))
    right = sum(good for good, _ in answers)
    print(f"right {right} slowest {max(wait for _, wait in answers) * 1000:.0f}")
    slow.close()
    for _, writer in crowd:
        writer.close()


signal.alarm(110)
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
asyncio.run(main())
