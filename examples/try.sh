#!/usr/bin/env bash
# Runs the examples against what they were made for: the kernel, curl and nmap, in network namespaces of their own.
#
#   examples/try.sh [echo_in_memory|lossy_link|client_over_tun|scan_target|nat]...
#
# The last three need root. Without names all are tried. The end code says whether each did what it should.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
names=("$@")
[ $# -gt 0 ] || names=(echo_in_memory lossy_link client_over_tun scan_target nat)
built=${CARGO_TARGET_DIR:-$root/target}/release/examples
here=wharf-ex-$$ there=wharf-ex-$$-b
work=$(mktemp -d)
jobs=()

end_jobs() {
    for job in "${jobs[@]}"; do kill "$job" 2>/dev/null || true; done
    wait "${jobs[@]}" 2>/dev/null || true
    jobs=()
}
clean_up() {
    end_jobs
    for space in "$here" "$there"; do ip netns del "$space" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

fail() { printf 'try: %s\n' "$*" >&2; exit 1; }
within() { ip netns exec "$@"; }
# A command, not a function of this script, so that its own process is the one that is ended.
background() { "$@" >"$work/job.log" & jobs+=($!); }
until_true() {
    local tries
    for tries in $(seq 50); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
    fail "never true: $*"
}
expect() { # TEXT FILE
    grep -qE "$1" "$2" || { cat "$2" >&2; fail "\"$1\" is not in the answer"; }
}

tun_world() { # the kernel is 10.9.0.1, what is behind the TUN 10.9.0.2
    ip netns add "$here"
    ip -n "$here" link set lo up
    within "$here" ip tuntap add wt0 mode tun
    ip -n "$here" address add 10.9.0.1/24 dev wt0
    ip -n "$here" link set wt0 up
}

try_echo_in_memory() { "$built/echo_in_memory"; }

try_lossy_link() { "$built/lossy_link"; }

try_client_over_tun() {
    tun_world
    mkdir "$work/web"
    head -c 3000000 /dev/urandom | base64 >"$work/web/page"
    background ip netns exec "$here" python3 -m http.server 8000 --bind 10.9.0.1 --directory "$work/web" 2>/dev/null
    until_true within "$here" curl -sf -m 2 -o /dev/null http://10.9.0.1:8000/
    within "$here" "$built/client_over_tun" wt0 10.9.0.2/24 10.9.0.1:8000 /page >"$work/got"
    head -n 5 "$work/got"
    sed '1,/^\r$/d' "$work/got" | cmp - "$work/web/page" || fail "the page came damaged"
    echo "$(wc -c <"$work/web/page") bytes, as python3 -m http.server has them"
}

try_scan_target() {
    tun_world
    background ip netns exec "$here" "$built/scan_target" wt0 10.9.0.2/24
    until_true within "$here" nc -z 10.9.0.2 80
    within "$here" nmap -Pn -n -sS -p 1-1100 10.9.0.2 | tee "$work/syn"
    expect '22/tcp +open' "$work/syn"
    expect '1050/tcp +filtered|100 filtered' "$work/syn"
    expect '997 closed' "$work/syn"
    within "$here" nmap -Pn -n -sT -p 22,80,81,443,1000 10.9.0.2 | tee "$work/connect"
    for line in '22/tcp +open' '80/tcp +open' '443/tcp +open' '81/tcp +closed' '1000/tcp +filtered'; do
        expect "$line" "$work/connect"
    done
}

try_nat() {
    ip netns add "$here"
    ip netns add "$there"
    background "$built/nat" nat0 nat1 198.51.100.7
    until_true ip link show nat1
    ip link set nat0 netns "$here"
    ip link set nat1 netns "$there"
    ip -n "$here" address add 10.0.0.2/24 dev nat0
    ip -n "$here" link set nat0 up
    ip -n "$here" route add default dev nat0
    ip -n "$there" link set lo up
    ip -n "$there" address add 198.51.100.1/24 dev nat1
    ip -n "$there" link set nat1 up
    mkdir -p "$work/web"
    head -c 2000000 /dev/urandom >"$work/web/file"
    background ip netns exec "$there" python3 -m http.server 80 --bind 198.51.100.1 --directory "$work/web" 2>"$work/log"
    until_true within "$there" curl -sf -m 2 -o /dev/null http://198.51.100.1/
    within "$here" curl -sSf -m 20 -o "$work/got" http://198.51.100.1/file
    cmp "$work/got" "$work/web/file" || fail "the file came damaged"
    expect '198.51.100.7 .*GET /file' "$work/log"
    echo "2 MB through the NAT; the server saw $(grep -c '^198.51.100.7 ' "$work/log") request from 198.51.100.7"
    # From outside nobody gets in.
    ! within "$there" nc -z -w 1 198.51.100.7 80 || fail "the NAT let a stranger in"
}

cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p wharf-sim --examples
for name in "${names[@]}"; do
    declare -F "try_$name" >/dev/null || fail "\"$name\" is none of the examples"
    case $name in
    echo_in_memory | lossy_link) ;;
    *)
        if [ "$(id -u)" != 0 ] || [ ! -e /dev/net/tun ]; then
            echo "skipped: $name needs root and /dev/net/tun"
            continue
        fi
        ;;
    esac
    printf '\n== %s\n' "$name"
    "try_$name"
    end_jobs
    for space in "$here" "$there"; do ip netns del "$space" 2>/dev/null || true; done
    rm -rf "${work:?}"/*
done
