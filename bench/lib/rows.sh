# Which figures are taken of one candidate that is up, and of each candidate's start.

# The rate of the datagrams whose loss is compared: pasta and slirp4netns can send as many.
offered=500M

measure_all() { # NAME MTU
    local name=$1 mtu=$2 flows
    if [ "$name" = bare ]; then measure_bare; return; fi
    for flows in 1 8; do
        throughput "TCP out, $flows flow(s)" inside $server 5201 -P $flows
        throughput "TCP in, $flows flow(s)" inside $server 5201 -P $flows -R
        throughput "TCP both ways, $flows flow(s)" inside $server 5201 -P $flows --bidir
        throughput "TCP published to loopback, $flows flow(s)" on_host 127.0.0.1 15201 -P $flows
        throughput "TCP published to a client, $flows flow(s)" on_client $host_seen_by_client 15201 -P $flows
        throughput "TCP published to a client, reverse, $flows flow(s)" on_client $host_seen_by_client 15201 -P $flows -R
    done
    throughput "UDP out" inside $server 5201 -u -b 0 -l 1400
    throughput "UDP in" inside $server 5201 -u -b 0 -l 1400 -R
    lost "UDP out at $offered" inside $server 5201 -u -b $offered -l 1400
    lost "UDP in at $offered" inside $server 5201 -u -b $offered -l 1400 -R
    rate "TCP round trips out, per second" inside rr tcp $server:7000 "$seconds"
    rate "UDP round trips out, per second" inside rr udp $server:7000 "$seconds"
    rate "TCP round trips published to a client, per second" on_client rr tcp $host_seen_by_client:17000 "$seconds"
    rate "connections out, per second" inside connect $server:7000 "$seconds" 8
    rate "connections published to a client, per second" on_client connect $host_seen_by_client:17000 "$seconds" 8
    rate "round trips on 100 flows, 100 held, per second" inside among $server:7000 100 100 "$seconds"
    rate "round trips on 100 flows, $flows_many held, per second" inside among $server:7000 $flows_many 100 "$seconds"
    measure_memory
}

# The same work between two programs on one loopback, and what memory and a TAP can do alone. The rows carry the names of those
# that they limit.
measure_bare() {
    local port
    for flows in 1 8; do
        for row in "out" "in" "both ways" "published to loopback"; do
            case $row in in) set -- -R ;; both*) set -- --bidir ;; *) set -- ;; esac
            throughput "TCP $row, $flows flow(s)" inside 127.0.0.1 5201 -P $flows "$@"
        done
    done
    throughput "UDP out" inside 127.0.0.1 5201 -u -b 0 -l 1400
    lost "UDP out at $offered" inside 127.0.0.1 5201 -u -b $offered -l 1400
    rate "TCP round trips out, per second" inside rr tcp 127.0.0.1:7000 "$seconds"
    rate "UDP round trips out, per second" inside rr udp 127.0.0.1:7000 "$seconds"
    rate "connections out, per second" inside connect 127.0.0.1:7000 "$seconds" 8
    rate "memory copied, 64 KiB in the cache, Gbit/s" inside copy 64 "$seconds"
    rate "memory copied, 64 MiB, Gbit/s" inside copy 65536 "$seconds"
    for way in out in; do
        wanted "TAP alone, $way, Gbit/s" || continue
        record "TAP alone, $way, Gbit/s" "$mtu" bare "$(bounded inside $((seconds + 5)) python3 "$here/lib/tap_alone.py" $way "$seconds")"
    done
}

# How long a program that does nothing takes, over `unshare -Urn true`; and what each holds when nothing happened yet.
measure_starts() { # CANDIDATES
    local name row="start of \`true\`, ms" at_start="resident at the start, MiB"
    wanted "$row" "$at_start" || return 0
    world_up 1500
    write_slirp_true
    for _ in $(seq "$rounds"); do
        wanted "$row" || break
        record "$row" - unshare "$(start unshare -Urn true)"
        for name in $1; do
            case $name in
            wharf) record "$row" - wharf "$(start "$work/wharf" run -- true)" ;;
            pasta) record "$row" - pasta "$(start pasta --config-net --no-map-gw -f -q -t none -u none -T none -U none -- true)" ;;
            slirp4netns) record "$row" - slirp4netns "$(start sh "$work/slirp-true.sh")" ;;
            esac
        done
    done
    for name in $1; do
        case $name in kernel|bare) continue ;; esac
        wanted "$at_start" || break
        if candidate_up "$name" 1500; then
            sleep 0.3
            record "$at_start" - "$name" "$(per "$(resident)" 1024 %.1f)"
        fi
        candidate_down
    done
    world_down
}
