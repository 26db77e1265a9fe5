#!/usr/bin/env bash
# Side by side, in one run: wharf, pasta, slirp4netns, the kernel alone, and the bare machine. See bench/README.md.
#
#   bench/run.sh [--rounds N] [--seconds N] [--quick] [--only NAME,NAME] [--mtu N,N] [--rows PATTERN] [--json FILE]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rounds=5 seconds=1 mtus=1500,65520 only='' rows='' json='' flows_held=1000 flows_many=9000 starts=30

usage() { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
arguments=("$@")
while [ $# -gt 0 ]; do
    case $1 in
    --rounds|--seconds) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage; declare "${1#--}=$2"; shift ;;
    --mtu) [[ ${2:-} =~ ^[0-9]+(,[0-9]+)*$ ]] || usage; mtus=$2; shift ;;
    --only) only=${2:?}; shift ;;
    --rows) rows=${2:?}; shift ;;
    --json) json=${2:?}; shift ;;
    --quick) rounds=1 seconds=1 flows_held=200 starts=10 ;;
    *) usage ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || { echo "bench: needs root, to make the namespaces (what is measured runs as uid 65534)" >&2; exit 2; }

# Everything runs in a process and a mount namespace of its own: with the first process in it all others end, and with them
# the network namespaces, which are named only there. So nothing stays, however a run ends.
if [ -z "${BENCH_INSIDE:-}" ]; then
    cargo build --quiet --release --manifest-path "$here/load/Cargo.toml" --target-dir "$here/../target/load"
    work=$(mktemp -d /tmp/wharf-bench.XXXXXX)
    chmod 755 "$work"
    mkdir -p /run/netns
    inner=''
    trap 'rm -rf "$work"' EXIT
    trap '[ -z "$inner" ] || kill -KILL $inner; exit 130' INT TERM HUP
    BENCH_INSIDE=$work setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc "$0" "${arguments[@]}" &
    inner=$!
    status=0
    wait $inner || status=$?
    exit $status
fi

# The first process of a namespace is not ended by a signal that it does not await.
trap 'exit 1' TERM
work=$BENCH_INSIDE
raw=$work/raw.tsv
: >"$raw"
mount -t tmpfs none /run/netns
ulimit -n "$(ulimit -Hn)"
install -m 755 "$here/../target/load/release/load" "$work/load"
# shellcheck source=lib/world.sh
. "$here/lib/world.sh"
# shellcheck source=lib/candidates.sh
. "$here/lib/candidates.sh"
# shellcheck source=lib/measure.sh
. "$here/lib/measure.sh"
# shellcheck source=lib/rows.sh
. "$here/lib/rows.sh"

candidates=$(candidates_present "$only")
echo "bench: $(uname -r), $(nproc) cpus, load $(cut -d' ' -f1 /proc/loadavg), $rounds rounds of $seconds s: $candidates" >&2
for mtu in ${mtus//,/ }; do
    world_up "$mtu"
    for round in $(seq "$rounds"); do
        for candidate in $candidates; do
            echo "bench: mtu $mtu, round $round/$rounds, $candidate" >&2
            if candidate_up "$candidate" "$mtu"; then
                measure_all "$candidate" "$mtu"
            else
                echo "bench: $candidate did not start: $(tail -n 3 "$work/candidate.log" | tr '\n' ' ')" >&2
            fi
            candidate_down
        done
    done
    world_down
done
measure_starts "$candidates"
python3 -B "$here/report.py" "$raw" ${json:+--json "$json"}
