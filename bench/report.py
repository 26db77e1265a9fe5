"""Medians and ratios of what bench/run.sh recorded: METRIC, MTU, CANDIDATE, VALUE, one line a value."""

import argparse
import collections
import json
import statistics

ORDER = ("wharf", "pasta", "slirp4netns", "kernel", "unshare")
LESS_IS_BETTER = ("start", "resident", "lost")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("raw")
    arguments.add_argument("--json", help="also write every value and median to this file")
    arguments = arguments.parse_args()

    values = collections.defaultdict(lambda: collections.defaultdict(list))
    with open(arguments.raw, encoding="utf-8") as lines:
        for line in lines:
            metric, mtu, candidate, value = line.rstrip("\n").split("\t")
            values[metric, mtu][candidate].append(float(value))
    medians = {row: {name: statistics.median(got) for name, got in found.items()} for row, found in values.items()}
    present = [name for name in ORDER if any(name in found for found in medians.values())]
    others = [name for name in present if name not in ("wharf", "unshare")] if "wharf" in present else []

    heads = [f"{name:>12}" for name in present] + [f"{'w/' + name:>13}" for name in others]
    print(f"{'':58}{'MTU':>6} " + "".join(heads))
    for (metric, mtu), found in medians.items():
        cells = [cell(found.get(name)) for name in present]
        cells += [f"{ratio(found, name):>13}" for name in others]
        print(f"{metric:58}{mtu:>6} " + "".join(cells))
    if others:
        print("w/X: wharf's value divided by X's; for start, memory and loss less is better.")

    if arguments.json:
        rows = [
            {"metric": metric, "mtu": None if mtu == "-" else int(mtu), "less_is_better": metric.startswith(LESS_IS_BETTER) or "lost" in metric,
             "candidates": {name: {"median": medians[metric, mtu][name], "values": got} for name, got in found.items()}}
            for (metric, mtu), found in values.items()
        ]
        with open(arguments.json, "w", encoding="utf-8") as out:
            json.dump(rows, out, indent=1)


def cell(value):
    if value is None:
        return f"{'-':>12}"
    return f"{value:>12.0f}" if value >= 1000 else f"{value:>12.2f}"


def ratio(found, name):
    if "wharf" not in found or not found.get(name):
        return "-"
    return f"{found['wharf'] / found[name]:.2f}"


if __name__ == "__main__":
    main()
