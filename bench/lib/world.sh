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

# A new namespace takes the machine's congestion control; all are set to one, since the choice is not what is compared.
# No time-waits: left by one candidate at the server they would turn away connections of the next from the same port.
tune() { # NSENTER-OPTION
    nsenter "$1" sh -c "
        echo $congestion >/proc/sys/net/ipv4/tcp_congestion_control
        echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets" 2>/dev/null || true
}

settle() {
    tune --net="/run/netns/$1"
    ip -n "$1" link set lo up
}

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
    in_ns $server_ns bash -c "exec -a '$work/iperf3' iperf3 -s" >/dev/null 2>&1 &
    world_pids="$world_pids $!"
    in_ns $server_ns "$work/load" serve "$server:7000" >/dev/null 2>&1 &
    world_pids="$world_pids $!"
    await_port $server_ns 5201
    await_port $server_ns 7000
}

world_down() {
    for pid in $world_pids; do kill "$pid" 2>/dev/null || true; done
    pkill -f "^$work/(load serve|iperf3)" 2>/dev/null || true
    wait $world_pids 2>/dev/null || true
    world_pids=''
    for ns in $client_ns $host_ns $server_ns; do ip netns del "$ns" 2>/dev/null || true; done
}

# Runs in the named network with the machine's own files: no mount namespace, so /proc/PID/exe and $work stay as they are.
in_ns() { local ns=$1; shift; nsenter --net="/run/netns/$ns" "$@"; }

await_port() { # NAMESPACE PORT
    for _ in $(seq 100); do
        [ -n "$(nsenter --net="/run/netns/$1" ss -Hltn "sport = :$2")" ] && return 0
        sleep 0.05
    done
    echo "bench: nothing listens on port $2 in $1" >&2
    return 1
}
