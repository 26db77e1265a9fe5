"""iperf3's JSON on stdin; prints Gbit/s as received (both ways together where there are two), the gigabytes, and for UDP the loss in percent."""

import json
import sys


def main():
    try:
        end = json.load(sys.stdin)["end"]
    except (ValueError, KeyError):
        return
    udp = [stream["udp"] for stream in end.get("streams", []) if "udp" in stream]
    if udp:
        sent = sum(one["packets"] for one in udp)
        lost = sum(one["lost_packets"] for one in udp)
        # The bytes are those of all that were sent; in reverse as well.
        size = sum(one["bytes"] for one in udp) / max(sent, 1)
        seconds = max(udp[0]["seconds"], 0.001)
        received = (sent - lost) * size
        print(f"{received * 8 / seconds / 1e9:.3f} {received / 1e9:.6f} {100 * lost / max(sent, 1):.2f}")
        return
    sums = [end[name] for name in ("sum_received", "sum_received_bidir_reverse") if name in end]
    if sums:
        rate = sum(one["bits_per_second"] for one in sums)
        print(f"{rate / 1e9:.3f} {sum(one['bytes'] for one in sums) / 1e9:.6f}")


if __name__ == "__main__":
    main()
