# The tools that measure one figure of the candidate that is up; one line a value goes to $raw: METRIC, MTU, CANDIDATE, VALUE.

record() { # METRIC MTU CANDIDATE VALUE
    if [ -n "$4" ] && wanted "$1"; then printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$raw"; fi
}

# Whether one of these rows is asked for.
wanted() { # METRIC...
    [ -z "$rows" ] || printf '%s\n' "$@" | grep -qE -e "$rows"
}

on_host() { in_ns "$host_ns" "$@"; }
on_client() { in_ns "$client_ns" "$@"; }

bounded() { # RUNNER SECONDS COMMAND...
    local runner=$1 limit=$2
    shift 2
    "$runner" timeout -k 1 "$limit" "$@" || true
}

# One iperf3 between here and there; prints Gbit/s as received, gigabytes received, and for UDP the loss in percent as well.
bulk() { # RUNNER ADDRESS PORT OPTIONS...
    local runner=$1 address=$2 port=$3
    shift 3
    bounded "$runner" $((seconds + 10)) iperf3 -c "$address" -p "$port" -t "$seconds" --connect-timeout 3000 -J "$@" 2>/dev/null \
        | python3 "$here/lib/received.py"
}

small() { # RUNNER LOAD-ARGUMENTS...
    local runner=$1
    shift
    bounded "$runner" $((seconds + 20)) "$work/load" "$@" 2> >(sed "s/^/bench: $name: /" >&2)
}

# Throughput, and what processor time it cost the gateway.
throughput() { # ROW RUNNER ADDRESS PORT OPTIONS...
    local row=$1 before got
    shift
    wanted "$row, Gbit/s" "$row, lost, %" "gateway's time, $row, s per GB" || return 0
    before=$(gateway_ticks)
    read -ra got <<<"$(bulk "$@")"
    [ ${#got[@]} -ge 2 ] || return 0
    record "$row, Gbit/s" "$mtu" "$name" "${got[0]}"
    record "$row, lost, %" "$mtu" "$name" "${got[2]:-}"
    [ -z "$gateway_pid" ] || record "gateway's time, $row, s per GB" "$mtu" "$name" \
        "$(per "($(gateway_ticks) - $before) / $(getconf CLK_TCK)" "${got[1]}" %.3f)"
}

# The share that is lost of what is offered at one rate.
lost() { # ROW RUNNER ADDRESS PORT OPTIONS...
    local row=$1 got
    shift
    wanted "$row, lost, %" || return 0
    read -ra got <<<"$(bulk "$@")"
    record "$row, lost, %" "$mtu" "$name" "${got[2]:-}"
}

rate() { # ROW RUNNER LOAD-ARGUMENTS...
    local row=$1
    shift
    ! wanted "$row" || record "$row" "$mtu" "$name" "$(small "$@")"
}

per() { # AMOUNT COUNT FORMAT
    awk "BEGIN { count = $2; if (count > 0) printf \"$3\", ($1) / count }"
}

# What the gateway and its threads have used, in user and system mode (proc(5): fields 14 and 15, of which the first two may have blanks).
gateway_ticks() {
    [ -n "$gateway_pid" ] || { echo 0; return; }
    sed 's/.*) //' "/proc/$gateway_pid/stat" 2>/dev/null | awk '{ print $12 + $13 }'
}

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$gateway_pid/status" 2>/dev/null; }

# After all the traffic: what stays resident, and what idle flows add to it.
measure_memory() {
    local each="resident, $flows_held idle flows more, KiB each" before after ready=$work/held
    [ -n "$gateway_pid" ] && wanted "resident after the load, MiB" "$each" || return 0
    sleep 0.5
    before=$(resident)
    record "resident after the load, MiB" "$mtu" "$name" "$(per "${before:-0}" 1024 %.1f)"
    wanted "$each" || return 0
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
        record "$each" "$mtu" "$name" "$(per "${after:-0} - ${before:-0}" $flows_held %.2f)"
    fi
    exec 9>&-
    wait $holding || true
}

# How long a program that does nothing takes: the median of many, in milliseconds.
start() {
    (as_user "$work/load" time "$starts" "$@") 2>>"$work/candidate.log" || true
}

# The least that gives one program a network with slirp4netns: a namespace, the gateway, its word that it is ready.
write_slirp_true() {
    cat >"$work/slirp-true.sh" <<'SH'
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
}
