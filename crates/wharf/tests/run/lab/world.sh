# The hosts of one laboratory; $1 is what makes their names unique. See world.rs for the drawing.
client=$1-c host=$1-h server=$1-s
for ns in $client $host $server; do
    ip netns add $ns
    ip -n $ns link set lo up
done
join() { # NAMESPACE DEVICE ADDRESS4 ADDRESS6, twice
    ip link add $2 netns $1 type veth peer name $6 netns $5
    ip -n $1 -batch - <<-END
	addr add $3/24 dev $2
	addr add $4/64 dev $2 nodad
	link set $2 up
	END
    ip -n $5 -batch - <<-END
	addr add $7/24 dev $6
	addr add $8/64 dev $6 nodad
	link set $6 up
	END
}
join $client to-host 203.0.113.2 2001:db8:c::2 $host to-client 203.0.113.1 2001:db8:c::1
join $server to-host 198.51.100.2 2001:db8:5::2 $host to-server 198.51.100.1 2001:db8:5::1
ip -n $client -batch - <<END
route add default via 203.0.113.1
route add default via 2001:db8:c::1
END
ip -n $host -batch - <<END
route add default via 198.51.100.2
route add default via 2001:db8:5::2
END
ip -n $server -batch - <<END
addr add 198.51.100.3/24 dev to-host
addr add 2001:db8:5::3/64 dev to-host nodad
link add far0 mtu 1300 type veth peer name far1
addr add 198.18.7.254/24 dev far0
addr add 2001:db8:7::fffe/64 dev far0 nodad
neigh add 198.18.7.1 lladdr 02:00:00:00:00:01 dev far0
neigh add 2001:db8:7::1 lladdr 02:00:00:00:00:01 dev far0
link set far0 up
link set far1 up
route add unreachable 198.18.0.1
route add blackhole 198.18.0.2
route add unreachable 2001:db8:dead::1
route add blackhole 2001:db8:dead::2
END
# Errors come at once and always; a test that waits for the second one is no better.
for ns in $host $server; do
    nsenter --net=/run/netns/$ns sh -c '
        echo 0 >/proc/sys/net/ipv4/icmp_ratelimit
        echo 0 >/proc/sys/net/ipv6/icmp/ratelimit
        echo 100000 >/proc/sys/net/ipv4/icmp_msgs_per_sec || true
        echo 100000 >/proc/sys/net/ipv4/icmp_msgs_burst || true'
done 2>/dev/null
nsenter --net=/run/netns/$server sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
nsenter --net=/run/netns/$host sh -c 'echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range'
