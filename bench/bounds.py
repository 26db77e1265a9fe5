"""What wharf is held to: each bound, and whether a run of bench/run.sh met it."""

import collections

LARGEST, ETHERNET = 65520, 1500

# `value` of wharf over `against`'s must be at least `least` (less, where less is better: at most `most`).
Bound = collections.namedtuple("Bound", "metric mtu against least most", defaults=(None, None))


def bounds():
    """In the order of the table; `mtu` is None where it holds at each that was measured."""
    for flows in (1, 8):
        row = f"TCP out, {flows} flow(s), Gbit/s"
        for against, least in (("pasta", 10), ("slirp4netns", 3), ("kernel", 0.8)):
            yield Bound(row, None, against, least)
    for flows in (1, 8):
        row = f"TCP in, {flows} flow(s), Gbit/s"
        yield Bound(row, LARGEST, "pasta", 1.3)
        yield Bound(row, ETHERNET, "pasta", 8)
        yield Bound(row, None, "kernel", 0.8)
    for flows in (1, 8):
        row = f"TCP published to loopback, {flows} flow(s), Gbit/s"
        yield Bound(row, None, "pasta", 1.0)
        yield Bound(row, None, "bare", 0.8)
    for flows in (1, 8):
        row = f"TCP both ways, {flows} flow(s), Gbit/s"
        yield Bound(row, None, "pasta", 3)
        yield Bound(row, None, "kernel", 0.7)
    for row, pasta, kernel in (
        ("UDP out, Gbit/s", 1.5, 0.5),
        ("UDP in, Gbit/s", 1.5, 0.5),
        ("TCP round trips out, per second", 1.1, 0.5),
        ("UDP round trips out, per second", 1.1, 0.5),
        ("TCP round trips published to a client, per second", 1.1, 0.5),
        ("connections out, per second", 1.5, 0.6),
        ("connections published to a client, per second", 1.5, 0.6),
    ):
        yield Bound(row, None, "pasta", pasta)
        yield Bound(row, None, "kernel", kernel)
    for work in ("TCP out, 1 flow(s)", "TCP in, 1 flow(s)", "UDP out", "UDP in"):
        yield Bound(f"gateway's time, {work}, s per GB", None, "pasta", most=1)
    yield Bound("resident, * idle flows more, KiB each", None, "pasta", most=1)
    yield Bound("resident at the start, MiB", "-", "pasta", most=1)
    yield Bound("resident after the load, MiB", None, "pasta", most=1)


# "No slower" within what two runs of the same differ by.
HELD_LEAST = 0.95
# How much longer a program that does nothing may take than with `unshare -Urn`, in milliseconds.
START_MOST = 15


def judge(medians):
    """Rows of (work, MTU, bound, figure, verdict) for medians by (metric, MTU) and candidate."""
    mtus = sorted({mtu for _, mtu in medians if mtu != "-"}, key=int)
    for bound in bounds():
        for mtu in mtus if bound.mtu is None else [str(bound.mtu)]:
            yield compare(medians, bound, mtu)
    for mtu in mtus:
        yield held(medians, mtu)
    yield start(medians)


def compare(medians, bound, mtu):
    wanted = f">= {bound.least:g} x {bound.against}" if bound.most is None else f"< {bound.against}"
    metric, found = row(medians, bound.metric, mtu)
    missing = unknown(found, "wharf", mtu, medians) or unknown(found, bound.against, mtu, medians)
    if missing:
        return metric, mtu, wanted, "-", missing
    ours, theirs = found["wharf"], found[bound.against]
    if bound.most is not None:
        return metric, mtu, wanted, f"{ours:.2f} to {theirs:.2f}", verdict(ours < theirs * bound.most)
    if not theirs:
        return metric, mtu, wanted, "-", f"not known: {bound.against} did nothing"
    return metric, mtu, wanted, f"{ours / theirs:.2f}", verdict(ours >= bound.least * theirs)


def held(medians, mtu):
    few = medians.get(("round trips on 100 flows, 100 held, per second", mtu), {}).get("wharf")
    many, value = next(((metric, found.get("wharf")) for (metric, at), found in medians.items()
                        if at == mtu and metric.startswith("round trips on 100 flows") and ", 100 held" not in metric), (None, None))
    wanted = f">= {HELD_LEAST:g} x with 100 held"
    if not few or value is None:
        return many or "round trips on 100 flows, many held", mtu, wanted, "-", "not known: not measured"
    return many, mtu, wanted, f"{value / few:.2f}", verdict(value >= HELD_LEAST * few)


def start(medians):
    metric = "start of `true`, ms"
    found = medians.get((metric, "-"), {})
    wanted = f"<= {START_MOST} ms over unshare"
    if "wharf" not in found or "unshare" not in found:
        return metric, "-", wanted, "-", "not known: not measured"
    more = found["wharf"] - found["unshare"]
    return metric, "-", wanted, f"{more:.2f}", verdict(more <= START_MOST)


def row(medians, metric, mtu):
    """The row of this name, where `*` stands for a number."""
    before, star, after = metric.partition("*")
    for (name, at), found in medians.items():
        if at == mtu and (name == metric or star and name.startswith(before) and name.endswith(after)):
            return name, found
    return metric, {}


def unknown(found, name, mtu, medians):
    if name in found:
        return None
    if mtu != "-" and not any(at == mtu for _, at in medians):
        return f"not known: MTU {mtu} not in this run"
    if not any(name in others for others in medians.values()):
        return f"not known: {name} not in this run"
    return f"not known: {name} gave no figure" if found else "not known: row not in this run"


def verdict(met):
    return "ok" if met else "missed"
