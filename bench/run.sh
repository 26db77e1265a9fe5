#!/usr/bin/env bash
# Side by side, in one run: wharf, pasta, slirp4netns and the kernel alone. See bench/README.md.
#
#   bench/run.sh [--rounds N] [--seconds N] [--quick] [--only NAME,NAME] [--mtu N,N] [--json FILE]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rounds=3 seconds=2 mtus=1500,65520 only='' json='' flows_held=1000 starts=30

usage() { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --rounds) rounds=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --mtu) mtus=$2; shift ;;
    --only) only=$2; shift ;;
    --json) json=$2; shift ;;
    --quick) rounds=1 seconds=1 flows_held=200 starts=10 ;;
    *) usage ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || { echo "bench: needs root, to make the namespaces (what is measured runs as uid 65534)" >&2; exit 2; }

work=$(mktemp -d /tmp/wharf-bench.XXXXXX)
chmod 755 "$work"
raw=$work/raw.tsv
: >"$raw"
# shellcheck source=lib/world.sh
. "$here/lib/world.sh"
# shellcheck source=lib/candidates.sh
. "$here/lib/candidates.sh"
# shellcheck source=lib/measure.sh
. "$here/lib/measure.sh"
trap 'candidate_down; world_down; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

cargo build --quiet --release --manifest-path "$here/load/Cargo.toml" --target-dir "$here/../target/load"
install -m 755 "$here/../target/load/release/load" "$work/load"

candidates=$(candidates_present "$only")
echo "bench: $(uname -r), $(nproc) cpus, load $(cut -d' ' -f1 /proc/loadavg), $rounds rounds of $seconds s: $candidates" >&2
for mtu in ${mtus//,/ }; do
    world_up "$mtu"
    for round in $(seq "$rounds"); do
        for candidate in $candidates; do
            echo "bench: mtu $mtu, round $round/$rounds, $candidate" >&2
            if candidate_up "$candidate" "$mtu"; then
                measure_all "$candidate" "$mtu" "$round"
            else
                echo "bench: $candidate did not start: $(tail -n 3 "$work/candidate.log" | tr '\n' ' ')" >&2
            fi
            candidate_down
        done
    done
    world_down
done
measure_starts "$candidates"
python3 "$here/report.py" "$raw" ${json:+--json "$json"}
