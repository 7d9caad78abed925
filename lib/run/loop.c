#include "run/loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "run/mailbox.h"
#include "run/qsbr.h"

/* Over how long it is judged whether work comes often. */
#define LOAD_WINDOW_NS (200 * NS_PER_US)

/*
 * No wake-up may be lost between the last look and the sleep. The sleeper sets `asleep`, then looks once more at
 * `wake_wanted`, messages and sources; the waker publishes its work, sets `wake_wanted`, then looks at `asleep`. With a
 * full fence between the two steps on each side, one of them sees the other.
 */
struct loop {
	struct loop_config config;
	struct loop_source sources[LOOP_SOURCES_MAX];
	unsigned int sources_count;
	int wake_fd;
	uint64_t now_ns;
	uint64_t last_work_ns;
	uint64_t window_start_ns, window_work; /* how much has come lately */
	bool under_load;
	struct loop_usage usage; /* written by the lcore alone */

	bool asleep __attribute__((aligned(64)));
	bool wake_wanted;
	bool stop;
	struct mailbox mailbox;
};

static __thread int self = -1;

struct loop *
loop_new(const struct loop_config *config)
{
	struct loop *loop;

	if (posix_memalign((void **)&loop, 64, sizeof(*loop)) != 0)
		return NULL;
	memset(loop, 0, sizeof(*loop));
	loop->config = *config;
	mailbox_init(&loop->mailbox);
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (loop->wake_fd < 0) {
		free(loop);
		return NULL;
	}
	return loop;
}

void
loop_free(struct loop *loop)
{
	if (!loop)
		return;
	close(loop->wake_fd);
	free(loop);
}

int
loop_source_add(struct loop *loop, const struct loop_source *source)
{
	if (loop->sources_count == LOOP_SOURCES_MAX)
		return -ENOSPC;
	loop->sources[loop->sources_count++] = *source;
	return 0;
}

void
loop_source_remove(struct loop *loop, void *context)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < loop->sources_count; i++)
		if (loop->sources[i].context != context)
			loop->sources[kept++] = loop->sources[i];
	loop->sources_count = kept;
}

void
loop_source_blind(struct loop *loop, const void *context, bool blind)
{
	for (unsigned int i = 0; i < loop->sources_count; i++)
		if (loop->sources[i].context == context)
			loop->sources[i].blind = blind;
}

uint64_t
loop_now_ns(const struct loop *loop)
{
	return loop->now_ns;
}

int
loop_self(void)
{
	return self;
}

/* ---- any thread ---- */

void
loop_wake(struct loop *loop)
{
	uint64_t one = 1;

	__atomic_store_n(&loop->wake_wanted, true, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&loop->asleep, __ATOMIC_RELAXED))
		return;
	/* One waker is enough. A full counter, the only failure, wakes too. */
	if (__atomic_exchange_n(&loop->asleep, false, __ATOMIC_ACQ_REL) && write(loop->wake_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
}

void
loop_stop(struct loop *loop)
{
	__atomic_store_n(&loop->stop, true, __ATOMIC_RELEASE);
	loop_wake(loop);
}

int
loop_post(struct loop *loop, void (*fn)(void *argument), void *argument)
{
	if (!mailbox_put(&loop->mailbox, fn, argument))
		return -ENOBUFS;
	loop_wake(loop);
	return 0;
}

void
loop_usage(const struct loop *loop, struct loop_usage *out)
{
	out->busy_ns = __atomic_load_n(&loop->usage.busy_ns, __ATOMIC_RELAXED);
	out->rounds = __atomic_load_n(&loop->usage.rounds, __ATOMIC_RELAXED);
	out->working_rounds = __atomic_load_n(&loop->usage.working_rounds, __ATOMIC_RELAXED);
	out->sleeps = __atomic_load_n(&loop->usage.sleeps, __ATOMIC_RELAXED);
}

/* ---- sleep ---- */

static inline void
usage_add(uint64_t *field, uint64_t value)
{
	__atomic_store_n(field, *field + value, __ATOMIC_RELAXED);
}

static uint64_t
nap_ns(const struct loop *loop)
{
	uint64_t nap = (loop->now_ns - loop->last_work_ns) / 16;

	return nap < LOOP_NAP_NS ? LOOP_NAP_NS : nap > LOOP_NAP_LONGEST_NS ? LOOP_NAP_LONGEST_NS : nap;
}

static void
note_work(struct loop *loop, unsigned int work, uint64_t now_ns)
{
	uint64_t passed_ns = now_ns - loop->window_start_ns;

	loop->window_work += work;
	if (passed_ns < LOAD_WINDOW_NS)
		return;
	loop->under_load = loop->window_work * LOOP_REST_GAP_NS >= passed_ns;
	loop->window_work = 0;
	loop->window_start_ns = now_ns;
}

/*
 * The look after `asleep` is set. False when there is work; else what to poll, and until when. A rest is a sleep that no
 * packet ends, so sources with a descriptor are not asked to watch it.
 */
static bool
sleep_prepare(struct loop *loop, struct pollfd *fds, nfds_t *fds_count, uint64_t *wake_at_ns)
{
	uint64_t nap = loop->under_load ? LOOP_REST_NS : nap_ns(loop);
	bool blind = loop->under_load;

	if (__atomic_load_n(&loop->wake_wanted, __ATOMIC_ACQUIRE) || !mailbox_empty(&loop->mailbox))
		return false;
	*wake_at_ns = UINT64_MAX;
	*fds_count = 0;
	fds[(*fds_count)++] = (struct pollfd){ .fd = loop->wake_fd, .events = POLLIN };
	for (unsigned int i = 0; i < loop->sources_count; i++) {
		const struct loop_source *source = &loop->sources[i];

		if (loop->under_load && source->fd >= 0)
			continue;
		if (source->prepare_sleep && !source->prepare_sleep(source->context, wake_at_ns))
			return false;
		if (source->fd >= 0)
			fds[(*fds_count)++] = (struct pollfd){ .fd = source->fd, .events = POLLIN };
		blind |= source->blind;
	}
	if (blind && *wake_at_ns > loop->now_ns + nap)
		*wake_at_ns = loop->now_ns + nap;
	return *wake_at_ns > loop->now_ns;
}

static void
sleep_until(struct loop *loop, struct pollfd *fds, nfds_t fds_count, uint64_t wake_at_ns)
{
	uint64_t now_ns = clock_monotonic_ns(), left_ns = wake_at_ns > now_ns ? wake_at_ns - now_ns : 0;
	struct timespec timeout = { (time_t)(left_ns / NS_PER_SECOND), (long)(left_ns % NS_PER_SECOND) };
	uint64_t counter;

	usage_add(&loop->usage.sleeps, 1);
	qsbr_worker_offline(loop->config.index);
	if (ppoll(fds, fds_count, wake_at_ns == UINT64_MAX ? NULL : &timeout, NULL) > 0 && fds[0].revents) {
		/* Reset; what it counted does not matter. */
		if (read(loop->wake_fd, &counter, sizeof(counter)) < 0)
			assert(errno == EAGAIN);
	}
	qsbr_worker_online(loop->config.index);
}

static void
loop_sleep(struct loop *loop)
{
	struct pollfd fds[LOOP_SOURCES_MAX + 1];
	uint64_t wake_at_ns;
	nfds_t fds_count;

	__atomic_store_n(&loop->asleep, true, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (sleep_prepare(loop, fds, &fds_count, &wake_at_ns))
		sleep_until(loop, fds, fds_count, wake_at_ns);
	__atomic_store_n(&loop->asleep, false, __ATOMIC_RELAXED);
}

/* ---- rounds ---- */

static unsigned int
loop_round(struct loop *loop)
{
	unsigned int work;

	/* Taken back before anything is looked at, so that whoever asks from now on gets a round after this one. */
	if (__atomic_load_n(&loop->wake_wanted, __ATOMIC_RELAXED)) {
		__atomic_store_n(&loop->wake_wanted, false, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	}
	work = mailbox_run(&loop->mailbox);
	for (unsigned int i = 0; i < loop->sources_count; i++)
		work += loop->sources[i].poll(loop->sources[i].context, loop->now_ns);
	qsbr_worker_quiescent(loop->config.index);
	return work;
}

void
loop_run(struct loop *loop)
{
	self = (int)loop->config.index;
	/* The default of 50 us would be added to every deadline and nap. */
	prctl(PR_SET_TIMERSLACK, 1000ul);
	qsbr_worker_online(loop->config.index);
	loop->now_ns = loop->last_work_ns = loop->window_start_ns = clock_monotonic_ns();
	while (!__atomic_load_n(&loop->stop, __ATOMIC_ACQUIRE)) {
		unsigned int work = loop_round(loop);
		uint64_t end_ns = clock_monotonic_ns();

		usage_add(&loop->usage.rounds, 1);
		note_work(loop, work, end_ns);
		if (work > 0) {
			usage_add(&loop->usage.working_rounds, 1);
			usage_add(&loop->usage.busy_ns, end_ns - loop->now_ns);
			loop->last_work_ns = end_ns;
		} else if (!loop->config.busy && end_ns - loop->last_work_ns >= loop->config.spin_ns) {
			loop->now_ns = end_ns;
			loop_sleep(loop);
			end_ns = clock_monotonic_ns();
		}
		loop->now_ns = end_ns;
	}
	mailbox_run(&loop->mailbox);
	qsbr_worker_offline(loop->config.index);
	self = -1;
}
