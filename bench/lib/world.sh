# The three hosts that every candidate is measured between, as network namespaces joined by veth:
#
#   client 203.0.113.2 -- 203.0.113.1  this host  198.51.100.1 -- 198.51.100.2 server
#
# The candidate runs on this host; nothing touches the machine's own network.

tag=wb$$
client_ns=$tag-c host_ns=$tag-h server_ns=$tag-s
server=198.51.100.2
host_seen_by_client=203.0.113.1
congestion=${BENCH_CONGESTION:-cubic}
world_pids=''

# Runs in the named network with the machine's own files: no mount namespace, so /proc/PID/exe and $work stay as they are.
in_ns() { local ns=$1; shift; nsenter --net="/run/netns/$ns" "$@"; }

# In the background, as one process whose id is in $!.
begin() { (exec "$@") >/dev/null 2>&1 & }

# No time-waits: left by one candidate at the server they would turn away connections of the next from the same port.
settle() {
    in_ns "$1" sh -c 'echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets'
    ip -n "$1" link set lo up
}

# One congestion control for all, since the choice is not what is compared. A new namespace takes the machine's, and the
# sysctl refuses one that the machine does not allow to everybody; a route may name any, for sockets that connect by it and
# for those that answer by it.
set_congestion() { # NSENTER-OPTION
    local route
    nsenter "$1" ip -4 route show table all | while read -r route; do
        case $route in broadcast*|multicast*|unreachable*) continue ;; esac
        # shellcheck disable=SC2086
        nsenter "$1" ip -4 route change $route congctl "$congestion" || fail "the route \"$route\" does not take $congestion"
    done
}

# Fails the whole run where a connection in this network has another: the figures would not be comparable.
check_congestion() { # NSENTER-OPTION WHERE
    local others
    others=$(nsenter "$1" ss -HtinO state established | awk -v wanted="$congestion" '
        { for (i = 1; i <= NF; i++) if ($i == wanted) next; print $3, "->", $4 }')
    [ -z "$others" ] || fail "connections in $2 are not under $congestion: $(echo "$others" | head -n 3 | tr '\n' ' ')"
}

fail() { echo "bench: $*" >&2; kill -TERM $$; exit 1; }

join() { # A ADDRESS4 ADDRESS6 B ADDRESS4 ADDRESS6 MTU
    ip link add "v$tag" netns "$1" type veth peer name "w$tag" netns "$4"
    ip -n "$1" link set "v$tag" name "to-$4" mtu "$7"
    ip -n "$4" link set "w$tag" name "to-$1" mtu "$7"
    ip -n "$1" addr add "$2/24" dev "to-$4"
    ip -n "$1" addr add "$3/64" dev "to-$4" nodad
    ip -n "$4" addr add "$5/24" dev "to-$1"
    ip -n "$4" addr add "$6/64" dev "to-$1" nodad
    ip -n "$1" link set "to-$4" up
    ip -n "$4" link set "to-$1" up
}

world_up() { # MTU
    for ns in $client_ns $host_ns $server_ns; do
        ip netns add "$ns"
        settle "$ns"
    done
    join $client_ns 203.0.113.2 2001:db8:c::2 $host_ns 203.0.113.1 2001:db8:c::1 "$1"
    join $server_ns 198.51.100.2 2001:db8:5::2 $host_ns 198.51.100.1 2001:db8:5::1 "$1"
    ip -n $client_ns route add default via 203.0.113.1
    ip -n $host_ns route add default via 198.51.100.2
    ip -n $host_ns -6 route add default via 2001:db8:5::2
    for ns in $client_ns $host_ns $server_ns; do set_congestion "--net=/run/netns/$ns"; done
    begin nsenter --net=/run/netns/$server_ns iperf3 -s
    world_pids="$world_pids $!"
    await_port $server_ns 5201
}

world_down() {
    for pid in $world_pids; do kill "$pid" 2>/dev/null || true; done
    wait $world_pids 2>/dev/null || true
    world_pids=''
    for ns in $client_ns $host_ns $server_ns; do ip netns del "$ns" 2>/dev/null || true; done
}

await_port() { # NAMESPACE PORT
    for _ in $(seq 100); do
        [ -n "$(in_ns "$1" ss -Hltn "sport = :$2")" ] && return 0
        sleep 0.05
    done
    echo "bench: nothing listens on port $2 in $1" >&2
    return 1
}
