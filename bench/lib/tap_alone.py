"""What a TAP moves with nobody behind it: frames of 64 KiB with a virtio-net header, and a program at a UDP socket inside.

    tap_alone.py out|in SECONDS

Out: the program sends as fast as it can, and the frames are read and dropped. In: frames are written, and the program reads its
socket. Prints Gbit/s of payload that arrived. Run in a network namespace, in which it makes and removes its link.
"""

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM = 1
DATA_VALID = 2
NAME, INSIDE, OUTSIDE, PORT = "tapalone", "192.0.2.1", "192.0.2.2", 9
HARDWARE_INSIDE, HARDWARE_OUTSIDE = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
PAYLOAD = 65_000


def main():
    way, seconds = sys.argv[1], float(sys.argv[2])
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", NAME.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(tap, TUNSETVNETHDRSZ, struct.pack("i", 10))
    fcntl.ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM)
    for command in (
        f"link set {NAME} address {HARDWARE_INSIDE.hex(':')} mtu 65521 up",
        f"addr add {INSIDE}/24 dev {NAME}",
        f"neigh replace {OUTSIDE} lladdr {HARDWARE_OUTSIDE.hex(':')} dev {NAME} nud permanent",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    program = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    program.bind((INSIDE, PORT))
    # One end in a process of its own, until this one ends it.
    other = os.fork()
    if other == 0:
        run(program_sends(program) if way == "out" else frames_written(tap))
    try:
        arrived = count(lambda: os.read(tap, 65_600) if way == "out" else program.recv(65_600), seconds)
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
    print(f"{arrived * 8 / seconds / 1e9:.2f}")


def run(step):
    while True:
        try:
            step()
        except OSError:
            pass


def program_sends(program):
    payload = bytes(PAYLOAD)
    return lambda: program.sendto(payload, (OUTSIDE, PORT))


def frames_written(tap):
    length = 8 + PAYLOAD
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0x4000, 64, 17, 0, socket.inet_aton(OUTSIDE), socket.inet_aton(INSIDE))
    total = sum(struct.unpack("!10H", ip))
    total = (total & 0xFFFF) + (total >> 16)
    ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + ip[12:]
    header = struct.pack("=BBHHHH", DATA_VALID, 0, 0, 0, 0, 0)
    udp = struct.pack("!HHHH", PORT, PORT, length, 0)
    frame = header + HARDWARE_INSIDE + HARDWARE_OUTSIDE + b"\x08\x00" + ip + udp + bytes(PAYLOAD)
    return lambda: os.write(tap, frame)


def count(arrive, seconds):
    total, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        length = len(arrive())
        if length >= PAYLOAD:
            total += PAYLOAD
    return total


if __name__ == "__main__":
    main()
