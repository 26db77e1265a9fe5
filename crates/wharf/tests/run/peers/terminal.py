"""Runs a command on a terminal of its own: terminal.py KEYS COMMAND... Types KEYS (python escapes) once `ready` appears, prints what appears.

Ends with the command's status, or 128 and the signal's number.
"""

import os
import pty
import select
import signal
import sys
import time

keys = sys.argv[1].encode().decode("unicode_escape").encode("latin-1")
signal.alarm(30)
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen, typed, end = b"", False, time.monotonic() + 20
while time.monotonic() < end:
    if select.select([terminal], [], [], 0.1)[0]:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    if not typed and b"ready" in seen:
        typed = True
        if keys == b"HANGUP":
            os.close(terminal)
            break
        os.write(terminal, keys)
sys.stdout.write(seen.decode(errors="replace"))
sys.stdout.flush()
_, status = os.waitpid(pid, 0)
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
