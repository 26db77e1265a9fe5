#!/usr/bin/env bash
# What a list of all sockets costs: wharf beside ss and lsof, in one run. See bench/README.md.
#
#   bench/list.sh [--rounds N] [--sockets N] [--many N] [--processes N] [--also-slow]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rounds=5 sockets=50000 many=500000 processes=400 slow=''

usage() { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
arguments=("$@")
while [ $# -gt 0 ]; do
    case $1 in
    --rounds|--sockets|--many|--processes) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage; declare "${1#--}=$2"; shift ;;
    --also-slow) slow=yes ;;
    *) usage ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || { echo "bench: needs root, to make the namespaces" >&2; exit 2; }
wharf=${WHARF:-$here/../target/release/wharf}
[ -x "$wharf" ] || { echo "bench: no $wharf (cargo build --release -p wharf)" >&2; exit 2; }

# A process, a mount and a network namespace of its own: with the first process all others end, and nothing stays. /proc shows
# the processes of this namespace only, so that what else runs on the machine is not measured.
if [ -z "${BENCH_INSIDE:-}" ]; then
    BENCH_INSIDE=yes exec setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "${arguments[@]}"
fi
trap 'exit 1' TERM INT
ip link set lo up
# Connections of one round are not to be found in TIME-WAIT by the next.
sysctl -qw net.ipv4.tcp_max_tw_buckets=0

# As many sockets as descriptors are allowed: each process needs its share and some more.
most=$(( $(cat /proc/sys/fs/file-max) / 2 ))
[ "$many" -le "$most" ] || { echo "bench: $many sockets become $most (fs.file-max)" >&2; many=$most; }


# hold N: opens N sockets, and sets `port` to that of a listener among them.
hold() {
    coproc HOLDER { exec python3 "$here/lib/sockets.py" "$processes" "$1"; }
    read -r _ port <&"${HOLDER[0]}"
}

# release: closes them, and waits until their processes are gone.
release() {
    local pid=$HOLDER_PID
    kill "$pid"
    wait "$pid" 2>/dev/null || true
    while pgrep -f sockets.py >/dev/null; do sleep 0.1; done
}

# costs ROUNDS COMMAND...: sets the arrays wall, used and memory.
costs() {
    wall=() used=() memory=()
    while IFS=$'\t' read -r a b c; do wall+=("$a") used+=("$b") memory+=("$c"); done < <("$here/lib/cost.py" "$@")
}

of() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%s", (b > 0 ? sprintf("%.2f", a / b) : "-") }'; }
ms() { awk -v s="$1" 'BEGIN { printf "%.1f", s * 1000 }'; }
row() { printf '%-34s %12s %12s %12s\n' "$@"; }

list="$wharf list --json"
echo "bench: $(uname -r), $(nproc) cpus, load $(cut -d' ' -f1 /proc/loadavg), $processes processes, medians of $rounds rounds"
costs 1 "$list"
base=${memory[0]}

hold "$sockets"
there=$(ss -Htuan | wc -l)
row "$there sockets" 'wall ms' 'processor ms' 'of wharf'
commands=("$list" 'ss -tanp' 'lsof -nP -i')
costs "$rounds" "${commands[@]}"
for at in 0 1 2; do
    row "  ${commands[$at]##*/}" "$(ms "${wall[$at]}")" "$(ms "${used[$at]}")" "$(of "${wall[$at]}" "${wall[0]}")"
done
few_wall=${wall[0]} few_used=${used[0]} few=$there few_ss=${wall[1]} few_lsof=${wall[2]}
costs "$rounds" "$wharf who $port"
row "  wharf who $port" "$(ms "${wall[0]}")" "$(ms "${used[0]}")" ''
few_who=${wall[0]}
release

hold "$many"
there=$(ss -Htuan | wc -l)
row "$there sockets" 'wall ms' 'processor ms' 'of wharf'
costs "$rounds" "$list" "$wharf who $port"
row '  wharf list --json' "$(ms "${wall[0]}")" "$(ms "${used[0]}")" ''
row "  wharf who $port" "$(ms "${wall[1]}")" "$(ms "${used[1]}")" ''
many_wall=${wall[0]} many_used=${used[0]} many_who=${wall[1]} many_memory=${memory[0]}
if [ -n "$slow" ]; then
    costs 1 'ss -tanp'
    row '  ss -tanp' "$(ms "${wall[0]}")" "$(ms "${used[0]}")" "$(of "${wall[0]}" "$many_wall")"
fi
release

# bound NAME FIGURE LIMIT: says whether the figure is within its limit.
bound() {
    local verdict
    verdict=$(awk -v a="$2" -v b="$3" 'BEGIN { print a <= b ? "ok" : "missed" }')
    row "$1" "$2" "<= $3" "$verdict"
}
echo
row 'held to' 'figure' 'bound' ''
bound 'wharf list / ss -tanp' "$(of "$few_wall" "$few_ss")" 0.33
bound 'wharf list / lsof -nP -i' "$(of "$few_wall" "$few_lsof")" 0.20
per_socket() { awk -v a="$1" -v n="$2" -v b="$3" -v m="$4" 'BEGIN { printf "%.2f", (a / n) / (b / m) }'; }
bound 'time a socket, many / few' "$(per_socket "$many_wall" "$there" "$few_wall" "$few")" 1.10
bound 'processor a socket, many / few' "$(per_socket "$many_used" "$there" "$few_used" "$few")" 1.10
bound 'bytes a socket' "$(( (many_memory - base) * 1024 / there ))" 300
bound 'who, few, ms' "$(ms "$few_who")" 50
bound 'who, many, ms' "$(ms "$many_who")" 50
