/*
 * A path on which things go wrong, where the kernel has no netem: every frame that one device receives leaves by the other, by way
 * of trouble.h, until TERM. Says "ready" once it does, and at the end what has happened, a line of JSON for each way.
 *
 *     bad-path DEVICE DEVICE [--delay-us N] [--loss N] [--burst N] [--reordering N] [--duplication N] [--corruption N]
 *              [--marking N] [--rate-kbit N --queue N] [--seed N]
 *
 * The devices' peers must send what fits a frame and has its checksums (no TSO, no checksum offload): what was damaged
 * must be noticed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "trouble.h"

#define BURST 64
#define SOCKET_BUFFER (32 << 20)

struct end {
	int fd;
	struct trouble trouble; /* of what this end receives */
};

static struct end ends[2];
static volatile sig_atomic_t stopped;

static void
stop(int number)
{
	stopped = number;
}

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "bad-path: %s: %s\n", what, why);
	exit(1);
}

static int
device_open(const char *name)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = (int)if_nametoindex(name) };
	struct packet_mreq promiscuous = { .mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, bytes = SOCKET_BUFFER;

	if (address.sll_ifindex == 0)
		die(name, "no such device");
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(name, strerror(errno));
	return fd;
}

static void
take_all(struct end *end)
{
	static uint8_t frames[BURST][TROUBLE_FRAME_MAX];
	struct iovec parts[BURST];
	struct mmsghdr messages[BURST] = { 0 };
	int count;

	for (int i = 0; i < BURST; i++) {
		parts[i] = (struct iovec){ frames[i], TROUBLE_FRAME_MAX };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
	count = recvmmsg(end->fd, messages, BURST, MSG_DONTWAIT | MSG_TRUNC, NULL);
	for (int i = 0; i < count; i++) {
		if (messages[i].msg_len > TROUBLE_FRAME_MAX)
			die("a frame is too long", "turn off TSO and GSO at the other end of the wire");
		trouble_take(&end->trouble, frames[i], messages[i].msg_len, clock_monotonic_ns());
	}
}

static void
give_due(struct end *end, int fd)
{
	uint64_t now_ns = clock_monotonic_ns();

	while (trouble_next_ns(&end->trouble) <= now_ns) {
		const struct trouble_frame *frame = trouble_give(&end->trouble);

		if (send(fd, frame->bytes, frame->len, 0) < 0 && errno != EAGAIN && errno != ENOBUFS &&
		    errno != ENETDOWN)
			die("send", strerror(errno));
	}
}

static void
relay(void)
{
	while (!stopped) {
		struct pollfd polled[2] = { { ends[0].fd, POLLIN, 0 }, { ends[1].fd, POLLIN, 0 } };
		uint64_t now_ns = clock_monotonic_ns(), next_ns = now_ns + NS_PER_SECOND, wait_ns;
		struct timespec timeout;

		for (int i = 0; i < 2; i++)
			if (trouble_next_ns(&ends[i].trouble) < next_ns)
				next_ns = trouble_next_ns(&ends[i].trouble);
		wait_ns = next_ns > now_ns ? next_ns - now_ns : 0;
		timeout = (struct timespec){ (time_t)(wait_ns / NS_PER_SECOND), (long)(wait_ns % NS_PER_SECOND) };
		ppoll(polled, 2, &timeout, NULL);
		for (int i = 0; i < 2; i++) {
			if (polled[i].revents)
				take_all(&ends[i]);
			give_due(&ends[i], ends[!i].fd);
		}
	}
}

static void
report(const char *name, const struct trouble *trouble)
{
	printf("{\"from\": \"%s\"", name);
#define ROW(counter) printf(", \"" #counter "\": %lu", trouble->counter);
	TROUBLE_COUNTERS(ROW)
#undef ROW
	printf("}\n");
}

static void
parse(int argc, char **argv, struct trouble_config *config)
{
	struct {
		const char *name;
		uint32_t *value;
	} known[] = {
		{ "delay-us", &config->delay_us },
		{ "loss", &config->loss },
		{ "burst", &config->burst },
		{ "reordering", &config->reordering },
		{ "duplication", &config->duplication },
		{ "corruption", &config->corruption },
		{ "marking", &config->marking },
		{ "rate-kbit", &config->rate_kbit },
		{ "queue", &config->queue },
		{ "seed", &config->seed },
	};
	enum { KNOWN = sizeof(known) / sizeof(known[0]) };
	struct option options[KNOWN + 1] = { 0 };
	int which;

	for (int i = 0; i < KNOWN; i++)
		options[i] = (struct option){ known[i].name, required_argument, NULL, i };
	while ((which = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (which >= KNOWN)
			exit(2);
		*known[which].value = (uint32_t)strtoul(optarg, NULL, 10);
	}
	if (argc - optind != 2)
		die("usage", "bad-path [OPTIONS] DEVICE DEVICE");
}

int
main(int argc, char **argv)
{
	struct trouble_config config = { .queue = 100, .seed = 1 };
	struct sigaction action = { .sa_handler = stop };

	parse(argc, argv, &config);
	/* To the microsecond, not to 50 of them. */
	prctl(PR_SET_TIMERSLACK, 1);
	sigaction(SIGTERM, &action, NULL);
	for (int i = 0; i < 2; i++) {
		if (!trouble_init(&ends[i].trouble, &config))
			die("init", "no memory");
		config.seed++;
		ends[i].fd = device_open(argv[optind + i]);
	}
	printf("ready\n");
	fflush(stdout);
	relay();
	for (int i = 0; i < 2; i++)
		report(argv[optind + i], &ends[i].trouble);
	return 0;
}
