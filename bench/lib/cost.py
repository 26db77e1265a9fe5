#!/usr/bin/env python3
"""cost.py ROUNDS COMMAND...: runs each COMMAND (one argument, split at spaces) in turn, ROUNDS times.

Prints a line for each: median wall time and processor time in seconds, and the largest resident memory in KiB, by tabs.
Output of the commands goes nowhere.
"""

import os
import statistics
import subprocess
import sys
import time


def once(command):
    before = time.monotonic()
    process = subprocess.Popen(command.split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _status, used = os.wait4(process.pid, 0)
    return time.monotonic() - before, used.ru_utime + used.ru_stime, used.ru_maxrss


def main():
    rounds, commands = int(sys.argv[1]), sys.argv[2:]
    costs = [[] for _ in commands]
    for _ in range(rounds):
        for command, seen in zip(commands, costs):
            seen.append(once(command))
    for seen in costs:
        wall, used, memory = zip(*seen)
        print(f"{statistics.median(wall):.4f}\t{statistics.median(used):.4f}\t{max(memory)}")


main()
