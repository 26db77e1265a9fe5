# How each candidate gives a program its own network. All publish 15201 -> 5201 and 17000 -> 7000 on every address of the host.
#
# candidate_up leaves: $inside_pid, a process in the private network; $gateway_pid, the process that carries its packets (empty
# for the kernel and the bare machine). Gateways run as uid 65534 in a mount namespace where /dev/net/tun is open to all, as most
# systems have it.

wharf=${WHARF:-$here/../target/release/wharf}
gateway_pid='' inside_pid='' candidate_pids='' holder=''

candidates_present() { # ONLY
    local name list=''
    for name in wharf pasta slirp4netns kernel bare; do
        case ,$1, in ,,|*,$name,*) ;; *) continue ;; esac
        case $name in
        wharf) [ -x "$wharf" ] || { echo "bench: no $wharf (cargo build --release), or set WHARF" >&2; continue; }
            install -m 755 "$wharf" "$work/wharf" ;;
        kernel) command -v nft >/dev/null || { echo "bench: no nft: the kernel alone is left out" >&2; continue; } ;;
        bare) ;;
        *) command -v $name >/dev/null || { echo "bench: $name isn't installed" >&2; continue; } ;;
        esac
        list="$list $name"
    done
    echo $list
}

# As an ordinary user on this host.
as_user() {
    exec nsenter --net="/run/netns/$host_ns" unshare --mount --propagation private sh -c '
        mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200
        exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all -- "$@"' sh "$@"
}

candidate_up() { # NAME MTU
    holder="sleep 90${RANDOM}"
    : >"$work/candidate.log"
    "up_$1" "$2" || return 1
    inside sh -c 'echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets'
    set_congestion "--net=/proc/$inside_pid/ns/net"
    # The kernel alone has given this host another route.
    set_congestion "--net=/run/netns/$host_ns"
    # It keeps what it is asked to hold until it ends, so each candidate has its own.
    begin nsenter --net=/run/netns/$server_ns "$work/load" serve "$server:7000"
    candidate_pids="$candidate_pids $!"
    await_port $server_ns 7000
    begin nsenter --net="/proc/$inside_pid/ns/net" iperf3 -s
    candidate_pids="$candidate_pids $!"
    begin nsenter --net="/proc/$inside_pid/ns/net" "$work/load" serve 0.0.0.0:7000
    candidate_pids="$candidate_pids $!"
    for _ in $(seq 100); do
        [ "$(inside ss -Hltn | grep -cE ':(5201|7000) ')" -ge 2 ] && break
        sleep 0.05
    done
    # The way out must work before anything is measured.
    for _ in $(seq 20); do
        inside timeout 1 bash -c "exec 3<>/dev/tcp/$(far "$1")/7000" 2>/dev/null && { check_all "$1"; return 0; }
        sleep 0.1
    done
    echo "no way out to $server" >>"$work/candidate.log"
    return 1
}

# Where the far end is, seen from inside.
far() { if [ "$1" = bare ]; then echo 127.0.0.1; else echo $server; fi; }

# With a connection open each way that is measured, every socket must have the congestion control that all should have.
check_all() { # NAME
    local held='' port=17000 place
    [ "$1" != bare ] || port=7000
    : >"$work/open"
    rm -f "$work/endless"; mkfifo "$work/endless"; exec 7<>"$work/endless"
    for place in "/proc/$inside_pid/ns/net $(far "$1"):7000" "/run/netns/$host_ns 127.0.0.1:$port" \
        "/run/netns/$client_ns $host_seen_by_client:$port"; do
        (exec nsenter --net="${place% *}" "$work/load" hold "${place#* }" 1 <&7 >>"$work/open" 2>/dev/null) &
        held="$held $!"
    done
    for _ in $(seq 40); do [ "$(wc -l <"$work/open")" -lt 3 ] || break; sleep 0.05; done
    for place in $client_ns $host_ns $server_ns; do check_congestion "--net=/run/netns/$place" "$1, $place"; done
    check_congestion "--net=/proc/$inside_pid/ns/net" "$1, inside"
    kill $held 2>/dev/null || true
    wait $held 2>/dev/null || true
    exec 7>&-
}

candidate_down() {
    for pid in $candidate_pids; do kill "$pid" 2>/dev/null || true; done
    [ -z "$inside_pid" ] || kill -9 "$inside_pid" 2>/dev/null || true
    wait $candidate_pids 2>/dev/null || true
    if [ -e "/run/netns/$tag-k" ]; then
        # The namespace goes when its last process does; the link must be gone before the next round.
        ip -n "$host_ns" link del "to-$tag-k" 2>/dev/null || true
        ip netns del "$tag-k"
        in_ns "$host_ns" nft flush ruleset
    fi
    candidate_pids='' inside_pid='' gateway_pid=''
}

inside() { nsenter --net="/proc/$inside_pid/ns/net" "$@"; }

await_holder() {
    for _ in $(seq 100); do
        inside_pid=$(pgrep -f -x "$holder" | tail -n 1) && [ -n "$inside_pid" ] && return 0
        sleep 0.05
    done
    inside_pid=''
    return 1
}

up_wharf() {
    (as_user "$work/wharf" run --mtu "$1" -p 0.0.0.0:15201:5201 -p 0.0.0.0:17000:7000 -- $holder) >>"$work/candidate.log" 2>&1 &
    gateway_pid=$!
    candidate_pids=$!
    await_holder
}

up_pasta() {
    (as_user pasta --config-net --no-map-gw -f -q -m "$1" -t 15201:5201,17000:7000 -u none -T none -U none -- $holder) >>"$work/candidate.log" 2>&1 &
    gateway_pid=$!
    candidate_pids=$!
    await_holder
}

up_slirp4netns() {
    (as_user unshare -Urn $holder) >>"$work/candidate.log" 2>&1 &
    candidate_pids=$!
    await_holder || return 1
    rm -f "$work/ready"; mkfifo "$work/ready"; exec 8<>"$work/ready"
    local socket=/tmp/$tag-slirp.sock
    (as_user slirp4netns -c -r 8 -m "$1" -a "$socket" "$inside_pid" tap0) >>"$work/candidate.log" 2>&1 &
    gateway_pid=$!
    candidate_pids="$candidate_pids $!"
    read -r -n 1 -t 10 -u 8 || return 1
    exec 8>&-
    python3 - "$socket" <<'PY'
import json, socket, sys
for host, guest in ((15201, 5201), (17000, 7000)):
    api = socket.socket(socket.AF_UNIX)
    api.connect(sys.argv[1])
    api.sendall(json.dumps({"execute": "add_hostfwd", "arguments": {
        "proto": "tcp", "host_addr": "0.0.0.0", "host_port": host, "guest_port": guest}}).encode())
    api.shutdown(socket.SHUT_WR)
    if "error" in json.loads(api.recv(4096)):
        sys.exit("slirp4netns: add_hostfwd failed")
PY
    rm -f "$socket"
}

up_kernel() {
    local ns=$tag-k
    ip netns add "$ns"
    settle "$ns"
    join "$ns" 10.0.2.100 fd00:2::100 $host_ns 10.0.2.2 fd00:2::2 "$1"
    ip -n "$ns" route add default via 10.0.2.2
    in_ns "$host_ns" sh -c "
        echo 1 >/proc/sys/net/ipv4/ip_forward
        echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet"
    in_ns "$host_ns" nft -f - <<'NFT'
table ip bench {
    chain dnat_in { type nat hook prerouting priority -100; fib daddr type local tcp dport 15201 dnat to 10.0.2.100:5201; fib daddr type local tcp dport 17000 dnat to 10.0.2.100:7000; }
    chain dnat_out { type nat hook output priority -100; fib daddr type local tcp dport 15201 dnat to 10.0.2.100:5201; fib daddr type local tcp dport 17000 dnat to 10.0.2.100:7000; }
    chain hide { type nat hook postrouting priority 100; ip saddr 10.0.2.0/24 masquerade; ip saddr 127.0.0.0/8 oif != lo masquerade; }
}
NFT
    begin nsenter --net="/run/netns/$ns" $holder
    candidate_pids=$!
    await_holder
}

# The bare machine: both ends on the loopback of one network, with nothing between.
up_bare() {
    begin nsenter --net="/run/netns/$host_ns" $holder
    candidate_pids=$!
    await_holder
}
