# What is measured of one candidate that is up; one line a value goes to $raw: METRIC, MTU, CANDIDATE, VALUE.

record() { # METRIC MTU CANDIDATE VALUE
    [ -n "$4" ] && printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$raw"
    return 0
}

on_host() { nsenter --net="/run/netns/$host_ns" "$@"; }
on_client() { nsenter --net="/run/netns/$client_ns" "$@"; }

# iperf3's JSON on stdin; prints Gbit/s as received, and for UDP the loss in percent as well.
received() {
    python3 -c '
import json, sys
try:
    end = json.load(sys.stdin)["end"]
except (ValueError, KeyError):
    sys.exit()
udp = [s["udp"] for s in end.get("streams", []) if "udp" in s]
if udp:
    sent = sum(u["packets"] for u in udp)
    lost = sum(u["lost_packets"] for u in udp)
    size = sum(u["bytes"] for u in udp) / max(sent, 1)
    # In reverse the bytes are those of the receiver already.
    print("%.3f %.1f" % ((sent - lost) * size * 8 / max(udp[0]["seconds"], 0.001) / 1e9, 100 * lost / max(sent, 1)))
elif "sum_received" in end:
    print("%.3f" % (end["sum_received"]["bits_per_second"] / 1e9))
'
}

bulk() { # RUNNER ADDRESS PORT OPTIONS...
    local runner=$1 address=$2 port=$3
    shift 3
    bounded "$runner" $((seconds + 10)) iperf3 -c "$address" -p "$port" -t "$seconds" --connect-timeout 3000 -J "$@" 2>/dev/null | received
}

bounded() { # RUNNER SECONDS COMMAND...
    local runner=$1 limit=$2
    shift 2
    "$runner" timeout -k 1 "$limit" "$@" || true
}

small() { # RUNNER LOAD-ARGUMENTS...
    local runner=$1
    shift
    bounded "$runner" $((seconds + 10)) "$work/load" "$@" 2>>"$work/candidate.log"
}

measure_all() { # CANDIDATE MTU ROUND
    local name=$1 mtu=$2 flows udp
    for flows in 1 8; do
        record "TCP out, $flows flow(s), Gbit/s" "$mtu" "$name" "$(bulk inside $server 5201 -P $flows)"
        record "TCP in, $flows flow(s), Gbit/s" "$mtu" "$name" "$(bulk inside $server 5201 -P $flows -R)"
        record "TCP published to loopback, $flows flow(s), Gbit/s" "$mtu" "$name" "$(bulk on_host 127.0.0.1 15201 -P $flows)"
        record "TCP published to a client, $flows flow(s), Gbit/s" "$mtu" "$name" "$(bulk on_client $host_seen_by_client 15201 -P $flows)"
        record "TCP published to a client, reverse, $flows flow(s), Gbit/s" "$mtu" "$name" "$(bulk on_client $host_seen_by_client 15201 -P $flows -R)"
    done
    udp=$(bulk inside $server 5201 -u -b 0 -l 1400)
    record "UDP out, received, Gbit/s" "$mtu" "$name" "${udp% *}"
    record "UDP out, lost, %" "$mtu" "$name" "${udp#* }"
    udp=$(bulk inside $server 5201 -u -b 0 -l 1400 -R)
    record "UDP in, received, Gbit/s" "$mtu" "$name" "${udp% *}"
    record "UDP in, lost, %" "$mtu" "$name" "${udp#* }"
    record "TCP round trips out, per second" "$mtu" "$name" "$(small inside rr tcp $server:7000 "$seconds")"
    record "UDP round trips out, per second" "$mtu" "$name" "$(small inside rr udp $server:7000 "$seconds")"
    record "TCP round trips published to a client, per second" "$mtu" "$name" "$(small on_client rr tcp $host_seen_by_client:17000 "$seconds")"
    record "connections out, per second" "$mtu" "$name" "$(small inside connect $server:7000 "$seconds" 8)"
    record "connections published to a client, per second" "$mtu" "$name" "$(small on_client connect $host_seen_by_client:17000 "$seconds" 8)"
    measure_memory "$name" "$mtu"
}

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$gateway_pid/status" 2>/dev/null; }

# After all the traffic: what stays resident, and what a thousand idle flows add to it.
measure_memory() { # CANDIDATE MTU
    [ -n "$gateway_pid" ] || return 0
    local before after ready=$work/held
    sleep 0.5
    before=$(resident)
    record "resident after the load, MiB" "$2" "$1" "$(awk "BEGIN { printf \"%.1f\", ${before:-0} / 1024 }")"
    : >"$ready"
    rm -f "$work/release"; mkfifo "$work/release"
    (inside timeout 30 "$work/load" hold "$server:7000" $flows_held <"$work/release" >"$ready" 2>>"$work/candidate.log") &
    local holding=$!
    exec 9>"$work/release"
    for _ in $(seq 100); do
        grep -q held "$ready" && break
        kill -0 $holding 2>/dev/null || break
        sleep 0.1
    done
    if grep -q held "$ready"; then
        sleep 0.3
        after=$(resident)
        record "resident, $flows_held idle flows more, KiB each" "$2" "$1" "$(awk "BEGIN { printf \"%.2f\", (${after:-0} - ${before:-0}) / $flows_held }")"
    fi
    exec 9>&-
    wait $holding || true
}

# How long a program that does nothing takes, over `unshare -Urn true`; and what each holds when nothing happened yet.
measure_starts() { # CANDIDATES
    world_up 1500
    local name
    for _ in $(seq "$rounds"); do
        record "start of \`true\`, ms" - "unshare" "$(start unshare -Urn true)"
        for name in $1; do
            case $name in
            wharf) record "start of \`true\`, ms" - wharf "$(start "$work/wharf" run -- true)" ;;
            pasta) record "start of \`true\`, ms" - pasta "$(start pasta --config-net --no-map-gw -f -q -t none -u none -T none -U none -- true)" ;;
            slirp4netns) record "start of \`true\`, ms" - slirp4netns "$(start sh "$work/slirp-true.sh")" ;;
            esac
        done
    done
    for name in $1; do
        [ "$name" = kernel ] && continue
        if candidate_up "$name" 1500; then
            sleep 0.3
            record "resident at the start, MiB" - "$name" "$(awk "BEGIN { printf \"%.1f\", $(resident) / 1024 }")"
        fi
        candidate_down
    done
    world_down
}

start() {
    cat >"$work/slirp-true.sh" <<'SH'
# The least that gives one program a network with slirp4netns: a namespace, the gateway, its word that it is ready.
unshare -Urn sleep 10 &
held=$!
fifo=$(mktemp -u /tmp/slirp.XXXXXX) && mkfifo "$fifo" && exec 8<>"$fifo" && rm "$fifo"
until [ "$(readlink /proc/$held/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
slirp4netns -c -r 8 $held tap0 &
gateway=$!
dd bs=1 count=1 <&8 && nsenter -t $held -U -n --preserve-credentials true
status=$?
kill $held $gateway
exit $status
SH
    (as_user "$work/load" time "$starts" "$@") 2>>"$work/candidate.log" || true
}
