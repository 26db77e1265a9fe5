"""Medians and ratios of what bench/run.sh recorded: METRIC, MTU, CANDIDATE, VALUE, one line a value; and what wharf is held to."""

import argparse
import collections
import json
import statistics

import bounds

ORDER = ("wharf", "pasta", "slirp4netns", "kernel", "bare", "unshare")
LESS_IS_BETTER = ("start", "resident", "gateway's time")


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
    judged = []
    if others:
        print("w/X: wharf's value divided by X's; for start, memory, the gateway's time and loss less is better.\n")
        judged = list(bounds.judge(medians))
        print(f"{'held to':58}{'MTU':>6}  {'bound':24}{'figure':>16}  ")
        for metric, mtu, bound, figure, verdict in judged:
            print(f"{metric:58}{mtu:>6}  {bound:24}{figure:>16}  {verdict}")
        tally = collections.Counter(verdict.partition(":")[0] for *_, verdict in judged)
        print(", ".join(f"{count} {verdict}" for verdict, count in tally.items()))

    if arguments.json:
        rows = [
            {"metric": metric, "mtu": None if mtu == "-" else int(mtu), "less_is_better": metric.startswith(LESS_IS_BETTER) or "lost" in metric,
             "candidates": {name: {"median": medians[metric, mtu][name], "values": got} for name, got in found.items()}}
            for (metric, mtu), found in values.items()
        ]
        with open(arguments.json, "w", encoding="utf-8") as out:
            held = [dict(zip(("metric", "mtu", "bound", "figure", "verdict"), one)) for one in judged]
            json.dump({"rows": rows, "held": held}, out, indent=1)


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
