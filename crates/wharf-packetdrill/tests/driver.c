// Drives the library as packetdrill does: with C's own idea of every structure, in virtual time.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

struct table {
	void *userdata;
	void (*free)(void *);
	int (*socket)(void *, int, int, int);
	int (*bind)(void *, int, const struct sockaddr *, socklen_t);
	int (*listen)(void *, int, int);
	int (*accept)(void *, int, struct sockaddr *, socklen_t *);
	int (*connect)(void *, int, const struct sockaddr *, socklen_t);
	ssize_t (*read)(void *, int, void *, size_t);
	ssize_t (*readv)(void *, int, const struct iovec *, int);
	ssize_t (*recv)(void *, int, void *, size_t, int);
	ssize_t (*recvfrom)(void *, int, void *, size_t, int, struct sockaddr *, socklen_t *);
	ssize_t (*recvmsg)(void *, int, struct msghdr *, int);
	ssize_t (*write)(void *, int, const void *, size_t);
	ssize_t (*writev)(void *, int, const struct iovec *, int);
	ssize_t (*send)(void *, int, const void *, size_t, int);
	ssize_t (*sendto)(void *, int, const void *, size_t, int, const struct sockaddr *, socklen_t);
	ssize_t (*sendmsg)(void *, int, const struct msghdr *, int);
	int (*fcntl)(void *, int, int, ...);
	int (*ioctl)(void *, int, unsigned long, ...);
	int (*close)(void *, int);
	int (*shutdown)(void *, int, int);
	int (*getsockopt)(void *, int, int, int, void *, socklen_t *);
	int (*setsockopt)(void *, int, int, int, const void *, socklen_t);
	int (*poll)(void *, struct pollfd *, nfds_t, int);
	int (*netdev_send)(void *, const void *, size_t);
	int (*netdev_receive)(void *, void *, size_t *, long long *);
	int (*usleep)(void *, useconds_t);
	int (*gettimeofday)(void *, struct timeval *, struct timezone *);
	int (*epoll_create)(void *, int);
	int (*epoll_ctl)(void *, int, int, int, struct epoll_event *);
	int (*epoll_wait)(void *, int, struct epoll_event *, int, int);
	int (*pipe)(void *, int[2]);
	int (*splice)(void *, int, loff_t *, int, loff_t *, size_t, unsigned int);
};

static struct table t;
#define U t.userdata
#define CHECK(what)                                                                      \
	do {                                                                             \
		if (!(what)) {                                                           \
			fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #what, errno); \
			exit(1);                                                         \
		}                                                                        \
	} while (0)

static long long now(void)
{
	struct timeval tv;
	CHECK(t.gettimeofday(U, &tv, NULL) == 0);
	return tv.tv_sec * 1000000LL + tv.tv_usec;
}

static uint32_t sum(const void *data, size_t len, uint32_t total)
{
	const uint8_t *bytes = data;
	for (size_t at = 0; at < len; at++)
		total += at % 2 ? bytes[at] : bytes[at] << 8;
	return total;
}

static uint16_t fold(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return htons(~total);
}

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct segment {
	uint32_t seq, ack;
	uint16_t window, port;
	uint8_t flags;
	size_t len;
	char data[2048];
};

// A segment arrives from 192.0.2.1 port 5000, for 192.168.0.1 port `port`.
static void arrive(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack, const char *text)
{
	uint8_t packet[1500] = {0};
	size_t len = strlen(text), head = flags & SYN ? 24 : 20, total = 20 + head + len;
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = 6, .tot_len = htons(total)};
	ip.saddr = inet_addr("192.0.2.1");
	ip.daddr = inet_addr("192.168.0.1");
	ip.check = fold(sum(&ip, 20, 0));
	struct tcphdr tcp = {.source = htons(5000), .dest = htons(port), .seq = htonl(seq), .ack_seq = htonl(ack)};
	tcp.doff = head / 4;
	((uint8_t *)&tcp)[13] = flags;
	tcp.window = htons(65000);
	memcpy(packet, &ip, 20);
	memcpy(packet + 20, &tcp, 20);
	if (flags & SYN)
		memcpy(packet + 40, "\x02\x04\x03\xe8", 4); // MSS 1000
	memcpy(packet + 20 + head, text, len);
	uint32_t pseudo = sum(&ip.saddr, 8, 6 + head + len);
	uint16_t check = fold(sum(packet + 20, head + len, pseudo));
	memcpy(packet + 36, &check, 2);
	CHECK(t.netdev_send(U, packet, total) == 0);
}

// The next segment that leaves, and when.
static long long leave(struct segment *s)
{
	uint8_t packet[4096];
	size_t len = sizeof packet;
	long long at;
	CHECK(t.netdev_receive(U, packet, &len, &at) == 0);
	CHECK(len >= 40 && packet[0] == 0x45 && packet[9] == 6);
	CHECK(fold(sum(packet, 20, 0)) == 0);
	CHECK(fold(sum(packet + 20, len - 20, sum(packet + 12, 8, 6 + len - 20))) == 0);
	struct tcphdr tcp;
	memcpy(&tcp, packet + 20, 20);
	s->seq = ntohl(tcp.seq);
	s->ack = ntohl(tcp.ack_seq);
	s->window = ntohs(tcp.window);
	s->port = ntohs(tcp.source);
	s->flags = packet[33];
	size_t head = 20 + tcp.doff * 4;
	s->len = len - head;
	memcpy(s->data, packet + head, s->len < sizeof s->data ? s->len : sizeof s->data);
	return at;
}

static void *blocked_read(void *fd)
{
	char buffer[16] = {0};
	ssize_t count = t.read(U, *(int *)fd, buffer, sizeof buffer);
	return count == 5 && !memcmp(buffer, "later", 5) ? fd : NULL;
}

static int server(struct segment *s)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(80)};
	int one = 1, listener = t.socket(U, AF_INET, SOCK_STREAM, IPPROTO_TCP);
	CHECK(listener > 2);
	CHECK(t.setsockopt(U, listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
	CHECK(t.bind(U, listener, (void *)&at, sizeof at) == 0);
	CHECK(t.listen(U, listener, 1) == 0);
	int second = t.socket(U, AF_INET, SOCK_STREAM, 0);
	CHECK(t.bind(U, second, (void *)&at, sizeof at) == -1 && errno == EADDRINUSE);
	CHECK(t.close(U, second) == 0 && t.close(U, 1000) == -1 && errno == EBADF);
	CHECK(t.fcntl(U, listener, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
	CHECK(t.fcntl(U, listener, F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK(t.accept(U, listener, NULL, NULL) == -1 && errno == EAGAIN);

	long long before = now();
	arrive(80, SYN, 0, 0, "");
	CHECK(leave(s) - before < 1000);
	CHECK(s->flags == (SYN | ACK) && s->ack == 1);
	arrive(80, ACK, 1, s->seq + 1, "");
	struct sockaddr_in peer;
	socklen_t len = sizeof peer;
	int fd = t.accept(U, listener, (void *)&peer, &len);
	CHECK(fd > 2 && len == sizeof peer && peer.sin_port == htons(5000));
	CHECK(peer.sin_addr.s_addr == inet_addr("192.0.2.1"));
	CHECK(t.close(U, listener) == 0);
	return fd;
}

int main(int argc, char **argv)
{
	struct segment s, again;
	void *library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | RTLD_DEEPBIND);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	void (*init)(const char *, struct table *) = dlsym(library, "packetdrill_interface_init");
	init("sysctl=no", &t);
	int fd = server(&s);
	uint32_t next = s.seq + 1;

	// A read that blocks on another thread, as packetdrill makes it; its answer is there when the packet was taken.
	pthread_t thread;
	void *result;
	pthread_create(&thread, NULL, blocked_read, &fd);
	usleep(200000);
	arrive(80, ACK | PSH, 1, next, "later");
	pthread_join(thread, &result);
	CHECK(result);
	leave(&s);
	CHECK(s.flags == ACK && s.ack == 6);

	// What waits is seen by poll, by epoll and by SIOCINQ.
	CHECK(t.fcntl(U, fd, F_SETFL, O_NONBLOCK) == 0);
	struct pollfd poll = {.fd = fd, .events = POLLIN | POLLOUT};
	CHECK(t.poll(U, &poll, 1, 0) == 1 && poll.revents == POLLOUT);
	int epoll = t.epoll_create(U, 1);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 77};
	CHECK(t.epoll_ctl(U, epoll, EPOLL_CTL_ADD, fd, &event) == 0);
	CHECK(t.epoll_wait(U, epoll, &event, 1, 0) == 0);
	arrive(80, ACK | PSH, 6, next, "more");
	leave(&s);
	CHECK(t.epoll_wait(U, epoll, &event, 1, 0) == 1 && event.data.u64 == 77 && event.events == EPOLLIN);
	CHECK(t.epoll_wait(U, epoll, &event, 1, 0) == 0);
	int waiting = 0;
	CHECK(t.ioctl(U, fd, FIONREAD, &waiting) == 0 && waiting == 4);
	char one[2], two[8];
	struct iovec parts[2] = {{one, 2}, {two, 8}};
	CHECK(t.readv(U, fd, parts, 2) == 4 && !memcmp(one, "mo", 2) && !memcmp(two, "re", 2));
	CHECK(t.read(U, fd, two, 8) == -1 && errno == EAGAIN);

	// Five time-outs of a segment that nobody acknowledges take their time by the clock, and none of ours.
	char text[1000];
	memset(text, 'x', sizeof text);
	struct msghdr header = {.msg_iov = &(struct iovec){text, sizeof text}, .msg_iovlen = 1};
	CHECK(t.sendmsg(U, fd, &header, 0) == 1000);
	long long sent = leave(&s), last = sent;
	CHECK(s.len == 1000 && s.seq == next);
	long long gap = 0;
	for (int tries = 0; tries < 7; tries++) {
		long long at = leave(&again);
		CHECK(again.seq == next && again.len == 1000 && at - last >= gap);
		gap = at - last;
		last = at;
	}
	CHECK(last - sent > 10000000);
	struct tcp_info info;
	socklen_t len = sizeof info;
	CHECK(t.getsockopt(U, fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
	CHECK(info.tcpi_state == 1 && info.tcpi_unacked == 1 && info.tcpi_retransmits > 4);
	CHECK(info.tcpi_snd_mss == 1000 && info.tcpi_bytes_received == 9 && info.tcpi_snd_wnd == 65000);

	// The clock is ours: it moves by what is asked of it, and a little with every look.
	long long before = now();
	t.usleep(U, 1000);
	CHECK(now() - before >= 1000 && now() - before < 1100);
	arrive(80, RST | ACK, 10, next + 1000, "");
	CHECK(t.write(U, fd, text, 1) == -1 && errno == ECONNRESET);
	CHECK(t.close(U, fd) == 0 && t.close(U, epoll) == 0);

	// A client, whose connection is refused while the call blocks in this thread.
	int client = t.socket(U, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5000), .sin_addr.s_addr = inet_addr("192.0.2.1")};
	CHECK(t.connect(U, client, (void *)&to, sizeof to) == -1 && errno == EINPROGRESS);
	leave(&s);
	CHECK(s.flags == SYN && s.port >= 32768);
	arrive(s.port, RST | ACK, 0, s.seq + 1, "");
	int error = 0;
	len = sizeof error;
	CHECK(t.getsockopt(U, client, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == ECONNREFUSED);
	t.close(U, client);
	t.free(U);
	puts("held");
	return 0;
}
