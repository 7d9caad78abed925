/* With real threads, eventfds and pipes. Waits are bounded, and end when what they wait for has come. */
#include "run/loop.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "run/qsbr.h"
#include "support/cmocka.h"

#define PATIENCE_NS (10 * NS_PER_SECOND)

static struct loop *loop;
static pthread_t thread;

static void *
run(void *unused)
{
	loop_run(loop);
	return NULL;
}

static void
start(void)
{
	assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
}

static void
stop(void)
{
	loop_stop(loop);
	pthread_join(thread, NULL);
}

static int
setup_with(const struct loop_config *config)
{
	loop = loop_new(config);
	return loop && qsbr_init(1) == 0 ? 0 : -1;
}

static int
setup(void **state)
{
	return setup_with(&(struct loop_config){ .index = 0, .spin_ns = 20 * NS_PER_US });
}

static int
setup_busy(void **state)
{
	return setup_with(&(struct loop_config){ .index = 0, .busy = true });
}

static int
teardown(void **state)
{
	loop_free(loop);
	qsbr_fini();
	return 0;
}

static struct loop_usage
usage(void)
{
	struct loop_usage now;

	loop_usage(loop, &now);
	return now;
}

#define wait_until(condition)                                                                                          \
	do {                                                                                                           \
		uint64_t give_up_ns = clock_monotonic_ns() + PATIENCE_NS;                                              \
		while (!(condition)) {                                                                                 \
			assert_true(clock_monotonic_ns() < give_up_ns);                                                \
			usleep(100);                                                                                   \
		}                                                                                                      \
	} while (0)

/* Asleep: no round in 20 ms. */
static void
wait_for_sleep(void)
{
	uint64_t rounds;

	do {
		rounds = usage().rounds;
		usleep(20000);
	} while (rounds == 0 || usage().rounds != rounds);
}

/* ---- a source that counts what another thread gives it ---- */

struct inbox {
	uint64_t given;
	uint64_t taken;
	uint64_t wake_at_ns;
	uint64_t polls;
	int fd;
};

static unsigned int
inbox_poll(void *context, uint64_t now_ns)
{
	struct inbox *inbox = context;
	uint64_t new = 0, value;

	assert_int_equal(loop_self(), 0);
	assert_int_equal(loop_now_ns(loop), now_ns);
	inbox->polls++;
	if (inbox->fd < 0)
		new = __atomic_load_n(&inbox->given, __ATOMIC_ACQUIRE) - inbox->taken;
	else if (read(inbox->fd, &value, sizeof(value)) == sizeof(value))
		new = value;
	__atomic_store_n(&inbox->taken, inbox->taken + new, __ATOMIC_RELEASE);
	return (unsigned int)new;
}

static bool
inbox_prepare_sleep(void *context, uint64_t *wake_at_ns)
{
	struct inbox *inbox = context;

	if (inbox->wake_at_ns < *wake_at_ns)
		*wake_at_ns = inbox->wake_at_ns;
	return __atomic_load_n(&inbox->given, __ATOMIC_ACQUIRE) == inbox->taken || inbox->fd >= 0;
}

static struct loop_source
inbox_source(struct inbox *inbox)
{
	return (struct loop_source){ "inbox", inbox, inbox_poll, inbox_prepare_sleep, inbox->fd, false };
}

static uint64_t
taken(const struct inbox *inbox)
{
	return __atomic_load_n(&inbox->taken, __ATOMIC_ACQUIRE);
}

/* ---- waking ---- */

/* The race of the last look and the sleep, run a hundred thousand times in both orders: with spin_ns 0 the loop is always
 * about to sleep. A lost wake-up would hang, as nothing else wakes this loop. */
static void
no_wake_is_lost(void **state)
{
	struct inbox inbox = { .wake_at_ns = UINT64_MAX, .fd = -1 };
	struct loop_source source = inbox_source(&inbox);

	loop_free(loop);
	loop = loop_new(&(struct loop_config){ .spin_ns = 0 });
	/* Every other source looks for itself; this one relies on loop_wake() alone. */
	source.prepare_sleep = NULL;
	assert_int_equal(loop_source_add(loop, &source), 0);
	start();
	for (uint64_t i = 1; i <= 100000; i++) {
		uint64_t give_up_ns = clock_monotonic_ns() + PATIENCE_NS;

		__atomic_store_n(&inbox.given, i, __ATOMIC_RELEASE);
		loop_wake(loop);
		for (unsigned int spins = 0; taken(&inbox) < i; spins++)
			if (spins % 1000 == 999)
				assert_true(clock_monotonic_ns() < give_up_ns);
		/* Now and then long enough for it to be fast asleep. */
		if (i % 1000 == 0)
			usleep(100);
	}
	assert_true(usage().sleeps > 100);
	stop();
}

static void
a_file_descriptor_wakes_it(void **state)
{
	struct inbox inbox = { .wake_at_ns = UINT64_MAX, .fd = eventfd(0, EFD_NONBLOCK) };
	struct loop_source source = inbox_source(&inbox);
	uint64_t one = 1;

	loop_source_add(loop, &source);
	start();
	wait_for_sleep();
	for (uint64_t i = 1; i <= 100; i++) {
		assert_int_equal(write(inbox.fd, &one, sizeof(one)), sizeof(one));
		wait_until(taken(&inbox) == i);
	}
	stop();
	close(inbox.fd);
}

/* Under load what comes gathers: far fewer sleeps than arrivals. Afterwards an arrival wakes it again at once. */
static void
a_loop_under_load_rests(void **state)
{
	struct inbox inbox = { .wake_at_ns = UINT64_MAX, .fd = eventfd(0, EFD_NONBLOCK) };
	struct loop_source source = inbox_source(&inbox);
	uint64_t arrivals = 0, packets = 50, end_ns, at_load;

	loop_free(loop);
	loop = loop_new(&(struct loop_config){ .spin_ns = 0 });
	loop_source_add(loop, &source);
	start();
	end_ns = clock_monotonic_ns() + 200 * NS_PER_MS;
	while (clock_monotonic_ns() < end_ns) {
		uint64_t pause_ns = clock_monotonic_ns() + 5 * NS_PER_US;

		assert_int_equal(write(inbox.fd, &packets, sizeof(packets)), sizeof(packets));
		arrivals++;
		while (clock_monotonic_ns() < pause_ns)
			continue;
	}
	at_load = usage().sleeps;
	wait_until(taken(&inbox) == arrivals * packets);
	assert_in_range(at_load, 1, 200 * NS_PER_MS / LOOP_REST_NS + arrivals / 10);
	wait_for_sleep();
	assert_int_equal(write(inbox.fd, &packets, sizeof(packets)), sizeof(packets));
	wait_until(taken(&inbox) == (arrivals + 1) * packets);
	stop();
	close(inbox.fd);
}

static uint64_t late_ns;

static unsigned int
deadline_poll(void *context, uint64_t now_ns)
{
	struct inbox *inbox = context;

	if (now_ns < inbox->wake_at_ns)
		return 0;
	late_ns += now_ns - inbox->wake_at_ns;
	inbox->wake_at_ns = now_ns + NS_PER_MS;
	inbox->given++;
	__atomic_store_n(&inbox->taken, inbox->taken + 1, __ATOMIC_RELEASE);
	return 1;
}

static void
a_deadline_wakes_it(void **state)
{
	struct inbox inbox = { .wake_at_ns = clock_monotonic_ns(), .fd = -1 };
	struct loop_source source = inbox_source(&inbox);

	source.poll = deadline_poll;
	loop_source_add(loop, &source);
	late_ns = 0;
	start();
	wait_until(taken(&inbox) >= 200);
	stop();
	print_message("deadlines: late by %lu us in the mean\n", (unsigned long)(late_ns / inbox.taken / 1000));
	assert_true(usage().sleeps >= 100);
	assert_in_range(late_ns / inbox.taken, 0, 5 * NS_PER_MS);
}

static void
a_source_with_work_keeps_it_awake(void **state)
{
	struct inbox inbox = { .wake_at_ns = UINT64_MAX, .fd = -1, .given = 0 };
	struct loop_source source = inbox_source(&inbox);

	loop_source_add(loop, &source);
	/* A refusal to sleep: what prepare_sleep() sees, the next poll takes. */
	__atomic_store_n(&inbox.given, 5, __ATOMIC_RELEASE);
	start();
	wait_until(taken(&inbox) == 5);
	stop();
}

static void
a_blind_source_is_looked_at_in_naps(void **state)
{
	struct inbox inbox = { .wake_at_ns = UINT64_MAX, .fd = -1 };
	struct loop_source source = inbox_source(&inbox);

	source.prepare_sleep = NULL;
	source.blind = true;
	loop_source_add(loop, &source);
	start();
	for (uint64_t i = 1; i <= 50; i++) {
		__atomic_store_n(&inbox.given, i, __ATOMIC_RELEASE);
		wait_until(taken(&inbox) == i);
	}
	stop();
	assert_true(usage().sleeps > 0);
}

static void
see(void *argument)
{
	struct inbox *inbox = argument;

	loop_source_blind(loop, inbox, false);
}

static void
a_blind_source_that_proves_to_tell_is_no_longer_looked_at(void **state)
{
	struct inbox inbox = { .wake_at_ns = UINT64_MAX, .fd = -1 };
	struct loop_source source = inbox_source(&inbox);
	uint64_t before;

	source.blind = true;
	loop_source_add(loop, &source);
	start();
	usleep(50000);
	assert_true(usage().sleeps > 5);
	assert_int_equal(loop_post(loop, see, &inbox), 0);
	usleep(50000);
	before = usage().sleeps;
	usleep(100000);
	assert_in_range(usage().sleeps - before, 0, 2);
	stop();
}

/* ---- messages ---- */

static unsigned int messages_run;
static bool messages_in_order;

static void
message(void *argument)
{
	messages_in_order &= (uintptr_t)argument == messages_run;
	assert_int_equal(loop_self(), 0);
	__atomic_store_n(&messages_run, messages_run + 1, __ATOMIC_RELEASE);
}

static void
messages_run_in_order_on_the_lcore(void **state)
{
	messages_run = 0;
	messages_in_order = true;
	start();
	for (uintptr_t i = 0; i < 20000; i++) {
		while (loop_post(loop, message, (void *)i) == -ENOBUFS)
			usleep(100);
		if (i % 1000 == 0)
			usleep(200);
	}
	stop();
	/* Those posted before the stop are done, too. */
	assert_int_equal(messages_run, 20000);
	assert_true(messages_in_order);
	assert_int_equal(loop_self(), -1);
}

static void
too_many_messages_are_refused(void **state)
{
	unsigned int posted = 0;

	messages_run = 0;
	messages_in_order = true;
	while (loop_post(loop, message, (void *)(uintptr_t)posted) == 0)
		posted++;
	assert_int_equal(posted, LOOP_MESSAGES_MAX);
	start();
	wait_until(__atomic_load_n(&messages_run, __ATOMIC_ACQUIRE) == posted);
	assert_int_equal(loop_post(loop, message, (void *)(uintptr_t)posted), 0);
	stop();
	assert_int_equal(messages_run, posted + 1);
}

static uint64_t tickets;

static void
count_ticket(void *argument)
{
	tickets++;
}

static void *
post_many(void *unused)
{
	for (int i = 0; i < 20000; i++)
		while (loop_post(loop, count_ticket, NULL) < 0)
			usleep(50);
	return NULL;
}

static void
many_threads_may_post(void **state)
{
	pthread_t posters[3];

	tickets = 0;
	start();
	for (int i = 0; i < 3; i++)
		pthread_create(&posters[i], NULL, post_many, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(posters[i], NULL);
	stop();
	assert_int_equal(tickets, 60000);
}

static void
remove_inbox(void *context)
{
	loop_source_remove(loop, context);
}

static void
a_message_may_add_and_remove_sources(void **state)
{
	struct inbox inbox = { .wake_at_ns = UINT64_MAX, .fd = -1 }, other = inbox;
	struct loop_source source = inbox_source(&inbox), other_source = inbox_source(&other);

	loop_source_add(loop, &source);
	loop_source_add(loop, &other_source);
	start();
	inbox.given = other.given = 1;
	loop_wake(loop);
	wait_until(taken(&inbox) == 1 && taken(&other) == 1);
	loop_post(loop, remove_inbox, &inbox);
	__atomic_store_n(&inbox.given, 2, __ATOMIC_RELEASE);
	__atomic_store_n(&other.given, 2, __ATOMIC_RELEASE);
	loop_wake(loop);
	wait_until(taken(&other) == 2);
	stop();
	assert_in_range(taken(&inbox), 1, 2);
}

static void
more_sources_than_fit_are_refused(void **state)
{
	struct loop_source source = { "x", NULL, inbox_poll, NULL, -1, false };

	for (int i = 0; i < LOOP_SOURCES_MAX; i++)
		assert_int_equal(loop_source_add(loop, &source), 0);
	assert_int_equal(loop_source_add(loop, &source), -ENOSPC);
}

/* ---- cost ---- */

static uint64_t
cpu_us(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static uint64_t
idle_cpu_us(bool blind)
{
	struct inbox inbox = { .wake_at_ns = UINT64_MAX, .fd = -1 };
	struct loop_source source = inbox_source(&inbox);
	uint64_t before_us, used_us;

	source.blind = blind;
	loop_source_add(loop, &source);
	start();
	usleep(100000);
	before_us = cpu_us();
	usleep(1000000);
	used_us = cpu_us() - before_us;
	stop();
	return used_us;
}

static void
an_idle_loop_costs_nothing(void **state)
{
	uint64_t used_us = idle_cpu_us(false);
	uint64_t sleeps = usage().sleeps;

	print_message("idle: %lu us of CPU in a second, %lu sleeps\n", (unsigned long)used_us, (unsigned long)sleeps);
	assert_in_range(used_us, 0, 2000);
	assert_in_range(sleeps, 1, 5);
}

/* Naps of a millisecond are counted, as the CPU they cost depends on who else is on this machine. */
static void
an_idle_blind_loop_naps_for_a_millisecond(void **state)
{
	uint64_t used_us = idle_cpu_us(true);

	print_message("idle and blind: %lu us of CPU in a second, %lu naps\n", (unsigned long)used_us,
		      (unsigned long)usage().sleeps);
	assert_in_range(usage().sleeps, 1, 1500);
	assert_in_range(used_us, 0, 100000);
}

static void
a_busy_loop_never_sleeps(void **state)
{
	struct inbox inbox = { .wake_at_ns = UINT64_MAX, .fd = -1 };
	struct loop_source source = inbox_source(&inbox);

	loop_source_add(loop, &source);
	start();
	usleep(50000);
	__atomic_store_n(&inbox.given, 1, __ATOMIC_RELEASE);
	wait_until(taken(&inbox) == 1);
	stop();
	assert_int_equal(usage().sleeps, 0);
	assert_int_equal(usage().working_rounds, 1);
	assert_true(usage().rounds > 1000);
	assert_true(usage().busy_ns > 0);
}

/* ---- reclamation ---- */

static int *table;
static bool reading;

static unsigned int
read_table(void *context, uint64_t now_ns)
{
	const int *current = __atomic_load_n(&table, __ATOMIC_ACQUIRE);

	__atomic_store_n(&reading, true, __ATOMIC_RELEASE);
	for (int i = 0; i < 100; i++)
		assert_int_equal(__atomic_load_n(current, __ATOMIC_RELAXED), 42);
	return 1;
}

static void
a_table_is_not_freed_under_a_reader(void **state)
{
	static int tables[2];
	struct loop_source source = { "reader", NULL, read_table, NULL, -1, false };

	tables[0] = 42;
	table = &tables[0];
	loop_source_add(loop, &source);
	start();
	wait_until(__atomic_load_n(&reading, __ATOMIC_ACQUIRE));
	for (int i = 1; i <= 20000; i++) {
		int *old = table;

		__atomic_store_n(&tables[i % 2], 42, __ATOMIC_RELAXED);
		__atomic_store_n(&table, &tables[i % 2], __ATOMIC_RELEASE);
		qsbr_synchronize();
		__atomic_store_n(old, -1, __ATOMIC_RELAXED);
	}
	stop();
}

static void
synchronize_does_not_wait_for_a_sleeper(void **state)
{
	uint64_t before_ns, sleeps;

	start();
	wait_for_sleep();
	before_ns = clock_monotonic_ns();
	sleeps = usage().sleeps;
	for (int i = 0; i < 1000; i++)
		qsbr_synchronize();
	assert_in_range(clock_monotonic_ns() - before_ns, 0, NS_PER_SECOND);
	assert_int_equal(usage().sleeps, sleeps);
	stop();
	/* Nor for a loop that has ended. */
	qsbr_synchronize();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_wake_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_descriptor_wakes_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_loop_under_load_rests, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deadline_wakes_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_source_with_work_keeps_it_awake, setup, teardown),
		cmocka_unit_test_setup_teardown(a_blind_source_is_looked_at_in_naps, setup, teardown),
		cmocka_unit_test_setup_teardown(a_blind_source_that_proves_to_tell_is_no_longer_looked_at, setup,
						teardown),
		cmocka_unit_test_setup_teardown(messages_run_in_order_on_the_lcore, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_messages_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(many_threads_may_post, setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_may_add_and_remove_sources, setup, teardown),
		cmocka_unit_test_setup_teardown(more_sources_than_fit_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(an_idle_loop_costs_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(an_idle_blind_loop_naps_for_a_millisecond, setup, teardown),
		cmocka_unit_test_setup_teardown(a_busy_loop_never_sleeps, setup_busy, teardown),
		cmocka_unit_test_setup_teardown(a_table_is_not_freed_under_a_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(synchronize_does_not_wait_for_a_sleeper, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
