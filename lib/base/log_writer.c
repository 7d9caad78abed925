#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_internal.h"

#define CACHE_LINE 64

/* 64 workers, and the threads of a reload's two generations. */
#define LOG_RINGS_MAX 128

/* The writer finds work by looking: an lcore makes no system call to announce it. */
#define LOG_NAP_SHORTEST_NS NS_PER_MS
#define LOG_NAP_LONGEST_NS (20 * NS_PER_MS)
#define LOG_STOP_PATIENCE_NS NS_PER_SECOND

/* In front of each line. Records are multiples of its size, so that it never wraps around the ring's end. */
struct log_record {
	struct log_file *file;
	uint64_t len;
};

/*
 * One producer (the attached thread), one consumer (whoever holds drain_mutex). head and tail only grow; the bytes in
 * [tail, head) are the consumer's, the rest the producer's.
 */
struct log_ring {
	uint64_t head __attribute__((aligned(CACHE_LINE)));
	uint64_t tail_seen; /* the producer's last look at tail */
	uint64_t *dropped;
	int pid, tid;
	bool detached; /* the producer is gone: free when empty */
	uint64_t tail __attribute__((aligned(CACHE_LINE)));
	uint64_t mask;
	uint8_t data[] __attribute__((aligned(CACHE_LINE)));
};

/* Outlives the rings, so that log_dropped() needs no lock. */
struct drop_counter {
	uint64_t lines;
} __attribute__((aligned(CACHE_LINE)));

static struct log_ring *rings[LOG_RINGS_MAX];
static struct drop_counter ring_drops[LOG_RINGS_MAX];
static __thread struct log_ring *own_ring;

static pthread_mutex_t drain_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_t writer;
static bool writer_running;
static bool writer_stopping;
static sem_t writer_wake;

/* ---- producer ---- */

bool
log_ring_attached(void)
{
	return own_ring != NULL;
}

void
log_ring_ids(int *pid, int *tid)
{
	*pid = own_ring->pid;
	*tid = own_ring->tid;
}

static void
ring_copy_in(struct log_ring *ring, uint64_t at, const void *data, size_t len)
{
	size_t offset = at & ring->mask;
	size_t first = ring->mask + 1 - offset;

	if (first > len)
		first = len;
	memcpy(ring->data + offset, data, first);
	memcpy(ring->data, (const uint8_t *)data + first, len - first);
}

static size_t
record_size(size_t len)
{
	return sizeof(struct log_record) + ((len + sizeof(struct log_record) - 1) & ~(sizeof(struct log_record) - 1));
}

bool
log_ring_write(struct log_file *file, const void *line, size_t len)
{
	struct log_ring *ring = own_ring;
	size_t size = record_size(len);
	uint64_t head = ring->head;

	if (head + size - ring->tail_seen > ring->mask + 1)
		ring->tail_seen = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
	if (len > LOG_LINE_MAX || head + size - ring->tail_seen > ring->mask + 1) {
		__atomic_store_n(ring->dropped, *ring->dropped + 1, __ATOMIC_RELAXED);
		return false;
	}
	*(struct log_record *)(void *)(ring->data + (head & ring->mask)) = (struct log_record){ file, len };
	ring_copy_in(ring, head + sizeof(struct log_record), line, len);
	__atomic_store_n(&ring->head, head + size, __ATOMIC_RELEASE);
	return true;
}

static struct log_ring *
ring_new(size_t size)
{
	size_t rounded = 4096;
	struct log_ring *ring;

	while (rounded < size)
		rounded *= 2;
	if (posix_memalign((void **)&ring, CACHE_LINE, sizeof(*ring) + rounded) != 0)
		return NULL;
	memset(ring, 0, sizeof(*ring) + rounded); /* a page fault now rather than on the lcore later */
	ring->mask = rounded - 1;
	ring->pid = getpid();
	ring->tid = gettid();
	return ring;
}

int
log_thread_attach(size_t ring_bytes)
{
	struct log_ring *ring;

	if (own_ring)
		return -EALREADY;
	log_file_stderr();
	ring = ring_new(ring_bytes);
	if (!ring)
		return -ENOMEM;
	for (unsigned int i = 0; i < LOG_RINGS_MAX; i++) {
		struct log_ring *none = NULL;

		ring->dropped = &ring_drops[i].lines;
		if (__atomic_compare_exchange_n(&rings[i], &none, ring, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			own_ring = ring;
			return 0;
		}
	}
	free(ring);
	return -ENOSPC;
}

void
log_thread_detach(void)
{
	struct log_ring *ring = own_ring;

	if (!ring)
		return;
	own_ring = NULL;
	__atomic_store_n(&ring->detached, true, __ATOMIC_RELEASE);
	log_writer_settle();
}

uint64_t
log_dropped(void)
{
	uint64_t sum = log_files_dropped();

	for (unsigned int i = 0; i < LOG_RINGS_MAX; i++)
		sum += __atomic_load_n(&ring_drops[i].lines, __ATOMIC_RELAXED);
	return sum;
}

/* ---- consumer, under drain_mutex ---- */

static const uint8_t *
ring_line(const struct log_ring *ring, uint64_t at, size_t len)
{
	static uint8_t straightened[LOG_LINE_MAX];
	size_t offset = at & ring->mask;
	size_t first = ring->mask + 1 - offset;

	if (len <= first)
		return ring->data + offset;
	memcpy(straightened, ring->data + offset, first);
	memcpy(straightened + first, ring->data, len - first);
	return straightened;
}

/* Only what is there at the start, so that a busy lcore does not keep the others waiting. */
static size_t
ring_drain(struct log_ring *ring)
{
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	size_t drained = head - ring->tail;

	while (ring->tail != head) {
		uint64_t tail = ring->tail;
		const struct log_record *record = (const void *)(ring->data + (tail & ring->mask));

		log_file_append(record->file, ring_line(ring, tail + sizeof(*record), record->len), record->len, false);
		__atomic_store_n(&ring->tail, tail + record_size(record->len), __ATOMIC_RELEASE);
	}
	return drained;
}

static size_t
rings_drain(void)
{
	size_t drained = 0;

	for (unsigned int i = 0; i < LOG_RINGS_MAX; i++) {
		struct log_ring *ring = __atomic_load_n(&rings[i], __ATOMIC_ACQUIRE);
		bool detached;

		if (!ring)
			continue;
		detached = __atomic_load_n(&ring->detached, __ATOMIC_ACQUIRE);
		drained += ring_drain(ring);
		if (detached) {
			__atomic_store_n(&rings[i], NULL, __ATOMIC_RELEASE);
			free(ring);
		}
	}
	return drained;
}

/* Returns how many bytes moved, from rings or to files; `left`: a reader is slow. */
static size_t
writer_pass(bool at_once, bool *left)
{
	size_t moved;

	pthread_mutex_lock(&drain_mutex);
	log_files_close_begin();
	moved = rings_drain();
	moved += log_files_flush(left);
	log_files_close_end(at_once);
	pthread_mutex_unlock(&drain_mutex);
	return moved;
}

void
log_writer_settle(void)
{
	bool left;

	if (!__atomic_load_n(&writer_running, __ATOMIC_ACQUIRE))
		writer_pass(true, &left);
}

/* ---- the thread ---- */

static void
writer_nap(uint64_t nap_ns)
{
	uint64_t until_ns = clock_monotonic_ns() + nap_ns;
	struct timespec until = { (time_t)(until_ns / NS_PER_SECOND), (long)(until_ns % NS_PER_SECOND) };

	sem_clockwait(&writer_wake, CLOCK_MONOTONIC, &until);
}

static void
writer_finish(void)
{
	uint64_t give_up_ns = clock_monotonic_ns() + LOG_STOP_PATIENCE_NS;
	bool left;

	while ((writer_pass(false, &left) > 0 || left) && clock_monotonic_ns() < give_up_ns) {
		if (left)
			writer_nap(LOG_NAP_SHORTEST_NS);
	}
	log_files_discard();
}

static void *
writer_run(void *unused)
{
	uint64_t nap_ns = LOG_NAP_SHORTEST_NS;

	while (!__atomic_load_n(&writer_stopping, __ATOMIC_ACQUIRE)) {
		bool left;

		if (writer_pass(false, &left) > 0)
			nap_ns = LOG_NAP_SHORTEST_NS;
		else if (nap_ns < LOG_NAP_LONGEST_NS)
			nap_ns = nap_ns * 2 < LOG_NAP_LONGEST_NS ? nap_ns * 2 : LOG_NAP_LONGEST_NS;
		writer_nap(nap_ns);
	}
	writer_finish();
	return NULL;
}

int
log_writer_start(void)
{
	sigset_t all, before;
	int error;

	if (writer_running)
		return -EALREADY;
	log_file_stderr();
	sem_init(&writer_wake, 0, 0);
	writer_stopping = false;
	/* Signals are for control; SIGPIPE from a broken standard error becomes EPIPE. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&writer, NULL, writer_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return -error;
	pthread_setname_np(writer, "weir-log");
	__atomic_store_n(&writer_running, true, __ATOMIC_RELEASE);
	return 0;
}

void
log_writer_stop(void)
{
	uint64_t give_up_ns = clock_monotonic_ns() + 2 * LOG_STOP_PATIENCE_NS;
	struct timespec give_up = { (time_t)(give_up_ns / NS_PER_SECOND), (long)(give_up_ns % NS_PER_SECOND) };

	if (!writer_running)
		return;
	__atomic_store_n(&writer_stopping, true, __ATOMIC_RELEASE);
	sem_post(&writer_wake);
	/* A disk that does not answer holds the thread in the kernel; that must not hold the program's end. */
	if (pthread_clockjoin_np(writer, NULL, CLOCK_MONOTONIC, &give_up) != 0)
		return;
	sem_destroy(&writer_wake);
	__atomic_store_n(&writer_running, false, __ATOMIC_RELEASE);
	log_writer_settle();
}
