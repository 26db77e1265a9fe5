//! What is asked of both.

/// Names and calls.
pub(super) const STORIES: &[(&str, &str)] = &[
    (
        "fresh stream",
        "c = tcp4; poll c; local c; peer c; send c 1; recv c 1; error c; inq c; shut c both; poll c; recv c 1; send c 1",
    ),
    (
        "fresh datagram",
        "u = udp4; poll u; local u; peer u; recv u 1; send u 1; local u; shut u rd; poll u; recv u 1; listen u 1; n = accept u",
    ),
    (
        "fresh stream v6",
        "c = tcp6; poll c; local c; peer c; get c IPV6_V6ONLY; get c SO_TYPE; get c SO_DOMAIN",
    ),
    (
        "refused",
        "c = tcp4; connect c 127.0.0.1:1; poll c; error c; error c; connect c 127.0.0.1:1; connect c 127.0.0.1:1; connect c 127.0.0.1:1",
    ),
    (
        "refused, told by connect",
        "c = tcp4; connect c 127.0.0.1:1; connect c 127.0.0.1:1; poll c; local c; peer c; recv c 1",
    ),
    ("refused, told by receive", "c = tcp4; connect c 127.0.0.1:1; recv c 1; recv c 1; send c 1; poll c"),
    ("refused, told by send", "c = tcp4; connect c 127.0.0.1:1; send c 1; send c 1; error c"),
    (
        "established",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; poll c; poll s; connect c @s; connect c @s; n = accept s; poll n; poll s; n2 = accept s; local c; peer c; local n; peer n",
    ),
    (
        "established v6",
        "s = tcp6; bind s [::1]:0; listen s 5; c = tcp6; connect c @s; poll c; n = accept s; peer n; local n; send c 4; recv n 9",
    ),
    (
        "mapped",
        "s = tcp6; bind s [::]:0; listen s 5; c = tcp4; connect c @s; n = accept s; peer n; send n 3; recv c 3",
    ),
    (
        "v6 only",
        "s = tcp6; set s IPV6_V6ONLY 1; bind s [::]:0; listen s 5; c = tcp4; connect c @s; error c; d = tcp6; connect d @s; n = accept s",
    ),
    (
        "data",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; recv n 10; send c 5; inq n; poll n; peek n 3; recv n 3; trunc n 1; recv n 10; recv n 10; send c 0; recv n 0; poll n",
    ),
    (
        "end",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; send c 5; shut c wr; poll c; send c 1; poll n; recv n 9; recv n 9; recv n 9; send n 2; recv c 9; close n; poll c; recv c 9",
    ),
    (
        "both ends",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; shut c wr; shut n wr; poll c; poll n; recv c 1; recv n 1; peer c; peer n; send c 1; send n 1; error c",
    ),
    (
        "shut read",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; shut n rd; poll n; recv n 5; send c 4; poll n; recv n 5; recv n 5; poll c",
    ),
    (
        "shut both",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; shut c both; poll c; recv c 1; send c 1; recv n 1; send n 1; send n 1; poll n; error n",
    ),
    (
        "shut twice",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; shut c wr; shut c wr; shut c both; shut n both; shut c rd; shut n rd; peer c",
    ),
    (
        "peer closes with data unread",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; send c 5; close n; poll c; recv c 1; recv c 1; send c 1; error c; peer c; local c",
    ),
    (
        "reset told by send",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; send c 5; close n; send c 1; send c 1; recv c 1",
    ),
    (
        "reset told by SO_ERROR",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; send c 5; close n; error c; error c; recv c 1; send c 1; shut c both; poll c",
    ),
    (
        "linger 0",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; set c SO_LINGER 0; get c SO_LINGER; close c; poll n; recv n 1; recv n 1",
    ),
    (
        "reset keeps what was received",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; send c 5; set c SO_LINGER 0; close c; poll n; inq n; recv n 3; recv n 3; recv n 3; recv n 3",
    ),
    (
        "reset after the end",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; shut n wr; recv c 1; set n SO_LINGER 0; close n; poll c; recv c 1; send c 1; send c 1; error c",
    ),
    (
        "data to who has closed",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; close n; poll c; recv c 1; send c 1; poll c; send c 1; recv c 1; error c",
    ),
    (
        "listener closes with connections waiting",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; connect c @s; close s; poll c; recv c 1; recv c 1; send c 1",
    ),
    (
        "accept one that is gone",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; set c SO_LINGER 0; close c; poll s; n = accept s; recv n 1; recv n 1; peer n",
    ),
    (
        "accept one that has ended",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; send c 3; close c; n = accept s; poll n; recv n 9; recv n 9; peer n",
    ),
    (
        "connect, listening",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect s 127.0.0.1:1; listen s 2; send s 1; recv s 1; inq s; peer s; poll s; shut s wr; poll s",
    ),
    (
        "listen twice, accept on others",
        "s = tcp4; n = accept s; listen s 1; local s; listen s 3; get s SO_ACCEPTCONN; c = tcp4; connect c @s; connect c @s; listen c 1; n = accept c; get c SO_ACCEPTCONN",
    ),
    (
        "shut a listener",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; shut s rd; poll s; n = accept s; poll c; recv c 1; local s; d = tcp4; connect d @s; error d; listen s 1; d2 = tcp4; connect d2 @s; connect d2 @s",
    ),
    (
        "bind twice",
        "s = tcp4; bind s 127.0.0.1:0; bind s 127.0.0.1:0; local s; listen s 1; bind s 127.0.0.1:0; u = udp4; bind u 127.0.0.1:0; bind u 127.0.0.1:0",
    ),
    (
        "bind elsewhere",
        "s = tcp4; bind s 192.0.2.1:0; u = udp4; bind u 192.0.2.1:0; d = tcp6; bind d [2001:db8::1]:0; e = tcp4; bind e 127.44.3.2:0; local e; f = udp4; bind f 224.0.0.1:0; local f; g = udp4; bind g 255.255.255.255:0; local g",
    ),
    ("bind a family", "s = tcp4; bind s [::1]:0; u = udp4; bind u [::1]:0"),
    (
        "bind in use",
        "s = tcp4; bind s 127.0.0.1:0; t = tcp4; bind t @s; u = udp4; bind u @s; bind u @s; v = udp4; bind v @u; w = tcp4; bind w 0.0.0.0@s; x = tcp4; bind x 127.0.0.2@s",
    ),
    (
        "bind in use v6",
        "s = tcp6; bind s [::]:0; t = tcp4; bind t 127.0.0.1@s; u = tcp6; set u IPV6_V6ONLY 1; bind u [::]@s; v = tcp6; bind v [::1]@s; close s; bind v [::1]@v",
    ),
    (
        "a client's port",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; bind c 127.0.0.1:0; connect c @s; connect c @s; n = accept s; d = tcp4; bind d @c; close c",
    ),
    (
        "unspec a stream",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; connect c @s; n = accept s; unspec c; poll c; recv n 1; peer c; connect c @s; connect c @s; m = accept s; peer c",
    ),
    ("unspec while fresh", "c = tcp4; unspec c; poll c; u = udp4; unspec u; poll u"),
    (
        "unspec a listener",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; unspec s; n = accept s; poll s; local s",
    ),
    ("connect family", "c = tcp4; connect c [::1]:1; u = udp4; connect u [::1]:1; sendto u 1 [::1]:9"),
    (
        "connect any",
        "s = tcp4; bind s 0.0.0.0:0; listen s 5; c = tcp4; connect c 0.0.0.0@s; connect c 0.0.0.0@s; peer c; d = tcp6; connect d [::]@s; error d",
    ),
    (
        "connect groups",
        "c = tcp4; connect c 255.255.255.255:9; d = tcp4; connect d 224.0.0.1:9; poll c; u = udp4; connect u 255.255.255.255:9; set u SO_BROADCAST 1; get u SO_BROADCAST",
    ),
    (
        "datagram",
        "u = udp4; bind u 127.0.0.1:0; v = udp4; sendto v 5 @u; local v; poll u; inq u; recv u 9; recv u 9; sendto v 0 @u; poll u; recv u 9; poll u",
    ),
    (
        "datagram truncated",
        "u = udp4; bind u 127.0.0.1:0; v = udp4; sendto v 50 @u; sendto v 60 @u; peek u 10; trunc u 10; recv u 10; recv u 10",
    ),
    (
        "datagram too large",
        "u = udp4; bind u 127.0.0.1:0; v = udp4; sendto v 65507 @u; inq u; recv u 70000; sendto v 65508 @u; sendto v 70000 @u; w = udp6; bind w [::1]:0; x = udp6; sendto x 65508 @w; sendto x 65527 @w; sendto x 65528 @w; recv w 70000; recv w 70000",
    ),
    (
        "datagram without destination",
        "v = udp4; send v 1; local v; sendto v 1 127.0.0.1:0; sendto v 1 255.255.255.255:9; connect v 127.0.0.1:0",
    ),
    (
        "datagram connected",
        "u = udp4; bind u 127.0.0.1:0; v = udp4; connect v @u; local v; peer v; send v 5; recv u 9; w = udp4; sendto w 4 @v; poll v; recv v 9; bind w 127.0.0.1:0; connect u @v; send u 2; recv v 9; poll w; error w",
    ),
    (
        "a stranger to a connected socket",
        "u = udp4; bind u 127.0.0.1:0; v = udp4; bind v 127.0.0.1:0; connect v @u; w = udp4; connect w @v; send w 1; error w; poll v",
    ),
    (
        "datagram refused",
        "v = udp4; connect v 127.0.0.1:9; send v 1; poll v; recv v 1; recv v 1; send v 1; send v 1; send v 1; error v; error v; poll v",
    ),
    (
        "datagram refused, not connected",
        "v = udp4; sendto v 1 127.0.0.1:9; poll v; recv v 1; error v; sendto v 1 127.0.0.1:9",
    ),
    (
        "datagram unspec",
        "u = udp4; bind u 127.0.0.1:0; v = udp4; connect v @u; unspec v; local v; peer v; send v 1; bind v 127.0.0.1:0; connect v @u; unspec v; local v",
    ),
    (
        "datagram shut",
        "u = udp4; bind u 127.0.0.1:0; shut u rd; v = udp4; connect v @u; shut v wr; poll v; send v 1; send v 1; shut v rd; poll v; recv v 1; peer v",
    ),
    (
        "datagram mapped",
        "u = udp6; bind u [::]:0; v = udp4; sendto v 3 @u; recv u 9; connect u @v; peer u; local u; send u 2; recv v 9",
    ),
    (
        "datagram v6 only",
        "u = udp6; set u IPV6_V6ONLY 1; sendto u 1 [::ffff:127.0.0.1]:9; connect u [::ffff:127.0.0.1]:9",
    ),
    (
        "out of band",
        "s = tcp4; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; oob n 1; send c 1; oob n 1; recv n 1; oob c 1",
    ),
    (
        "options of a stream",
        "c = tcp4; get c TCP_NODELAY; set c TCP_NODELAY 1; get c TCP_NODELAY; set c TCP_NODELAY 7; get c TCP_NODELAY; get c TCP_CORK; set c TCP_CORK 1; get c TCP_CORK; get c TCP_QUICKACK; get c SO_KEEPALIVE; set c SO_KEEPALIVE 1; get c SO_KEEPALIVE; get c SO_REUSEADDR; set c SO_REUSEADDR 1; get c SO_REUSEADDR; get c SO_OOBINLINE; get c SO_LINGER; set c SO_LINGER 5; get c SO_LINGER; set c SO_LINGER -1; get c SO_LINGER",
    ),
    (
        "keepalive options",
        "c = tcp4; get c TCP_KEEPIDLE; get c TCP_KEEPINTVL; get c TCP_KEEPCNT; set c TCP_KEEPIDLE 0; set c TCP_KEEPIDLE 32767; set c TCP_KEEPIDLE 32768; get c TCP_KEEPIDLE; set c TCP_KEEPINTVL 0; set c TCP_KEEPINTVL 9; get c TCP_KEEPINTVL; set c TCP_KEEPCNT 0; set c TCP_KEEPCNT 128; set c TCP_KEEPCNT 127; get c TCP_KEEPCNT; get c TCP_USER_TIMEOUT; set c TCP_USER_TIMEOUT 5000; get c TCP_USER_TIMEOUT",
    ),
    (
        "buffers",
        "c = udp4; get c SO_RCVBUF; get c SO_SNDBUF; set c SO_RCVBUF 10000; get c SO_RCVBUF; set c SO_RCVBUF 1; get c SO_RCVBUF; set c SO_SNDBUF 1; get c SO_SNDBUF; set c SO_SNDBUF 50000; get c SO_SNDBUF; d = tcp4; set d SO_SNDBUF 30000; get d SO_SNDBUF; set d SO_RCVBUF 5000; get d SO_RCVBUF",
    ),
    (
        "hops and classes",
        "c = tcp4; get c IP_TTL; set c IP_TTL 0; set c IP_TTL 256; set c IP_TTL 9; get c IP_TTL; get c IP_TOS; set c IP_TOS 16; get c IP_TOS; d = udp6; get d IPV6_UNICAST_HOPS; set d IPV6_UNICAST_HOPS 7; get d IPV6_UNICAST_HOPS; set d IPV6_TCLASS 256; set d IPV6_TCLASS 32; get d IPV6_TCLASS",
    ),
    (
        "options of others",
        "u = udp4; set u TCP_NODELAY 1; get u TCP_NODELAY; get u IPV6_V6ONLY; set u IPV6_V6ONLY 1; u6 = udp6; bind u6 [::1]:0; set u6 IPV6_V6ONLY 1; get u SO_ACCEPTCONN; get u SO_TYPE; get u SO_DOMAIN",
    ),
    (
        "accepted sockets inherit",
        "s = tcp4; set s TCP_NODELAY 1; set s SO_KEEPALIVE 1; set s TCP_KEEPIDLE 77; set s SO_LINGER 3; set s IP_TTL 33; bind s 127.0.0.1:0; listen s 5; c = tcp4; connect c @s; n = accept s; get n TCP_NODELAY; get n SO_KEEPALIVE; get n TCP_KEEPIDLE; get n SO_LINGER; get n IP_TTL; get n SO_REUSEADDR; get n SO_ACCEPTCONN; set n TCP_NODELAY 0; get s TCP_NODELAY",
    ),
    ("to oneself", "c = tcp4; bind c 127.0.0.1:0; connect c @c; poll c; send c 5; recv c 9; peer c"),
    (
        "reuse address, one listens",
        "s = tcp4; set s SO_REUSEADDR 1; bind s 127.0.0.1:0; t = tcp4; set t SO_REUSEADDR 1; bind t @s; listen s 1; listen t 1; u = tcp4; set u SO_REUSEADDR 1; bind u @s",
    ),
    (
        "reuse port",
        "s = tcp4; set s SO_REUSEPORT 1; bind s 127.0.0.1:0; listen s 1; t = tcp4; set t SO_REUSEPORT 1; bind t @s; listen t 1; u = tcp4; bind u @s",
    ),
    (
        "back over TIME-WAIT",
        "s = tcp4; set s SO_REUSEADDR 1; bind s 127.0.0.1:0; listen s 1; c = tcp4; connect c @s; n = accept s; close n; recv c 1; close c; r = tcp4; bind r @s; set r SO_REUSEADDR 1; bind r @s",
    ),
    (
        "bound, then connected, then bound",
        "s = tcp4; bind s 127.0.0.1:0; listen s 1; c = tcp4; connect c @s; bind c 127.0.0.1:0; n = accept s; bind n 127.0.0.1:0",
    ),
];
