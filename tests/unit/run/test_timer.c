#include "run/timer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "support/cmocka.h"

#define TICK_NS (1ull << 20)
#define NEVER UINT64_MAX

struct entry {
	struct timer timer;
	uint64_t deadline_ns; /* NEVER: not armed */
	unsigned int fired;
};

static struct timer_wheel *wheel;
static struct random random_state;
static uint64_t now_ns;

static struct entry *
entry_of(struct timer *timer)
{
	return container_of(timer, struct entry, timer);
}

static void
note_fired(void *owner, struct timer *timer, uint64_t at_ns)
{
	struct entry *entry = entry_of(timer);

	assert_false(timer_armed(timer));
	assert_int_equal(at_ns, now_ns);
	assert_true(entry->deadline_ns != NEVER);
	assert_true(entry->deadline_ns <= at_ns);
	entry->deadline_ns = NEVER;
	entry->fired++;
}

static void
start(timer_expire_fn *expire, void *owner)
{
	now_ns = 123456789;
	wheel = timer_wheel_new(TICK_NS, now_ns, expire, owner);
	assert_non_null(wheel);
}

static int
teardown(void **state)
{
	timer_wheel_free(wheel);
	wheel = NULL;
	return 0;
}

static void
arm(struct entry *entry, uint64_t deadline_ns)
{
	entry->deadline_ns = deadline_ns;
	timer_arm(wheel, &entry->timer, deadline_ns);
	assert_true(timer_armed(&entry->timer));
}

static void
cancel(struct entry *entry)
{
	entry->deadline_ns = NEVER;
	timer_cancel(wheel, &entry->timer);
	assert_false(timer_armed(&entry->timer));
}

static void
init(struct entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		timer_init(&entries[i].timer);
		entries[i].deadline_ns = NEVER;
		entries[i].fired = 0;
	}
}

/* From one tick to days, every magnitude alike. */
static uint64_t
random_span_ns(void)
{
	uint64_t bits = random_next(&random_state) % 48 + 5;

	return (random_next(&random_state) >> (64 - bits)) + 1;
}

/*
 * Against a list searched from end to end: whatever was due a tick ago has fired, nothing fires early (note_fired), and
 * next_ns is no later than the earliest.
 */
static void
check_against_list(const struct entry *entries, size_t count)
{
	uint64_t earliest_ns = NEVER, next_ns = timer_wheel_next_ns(wheel);

	for (size_t i = 0; i < count; i++) {
		assert_int_equal(timer_armed(&entries[i].timer), entries[i].deadline_ns != NEVER);
		if (entries[i].deadline_ns == NEVER)
			continue;
		assert_true(entries[i].deadline_ns > now_ns - TICK_NS);
		if (entries[i].deadline_ns < earliest_ns)
			earliest_ns = entries[i].deadline_ns;
	}
	if (earliest_ns == NEVER)
		assert_true(next_ns == NEVER);
	else
		assert_true(next_ns == earliest_ns || next_ns - TICK_NS < earliest_ns);
}

static void
it_agrees_with_a_list_under_a_random_workload(void **state)
{
	enum { ENTRIES = 300, STEPS = 30000 };
	static struct entry entries[ENTRIES];

	for (uint64_t seed = 1; seed <= 3; seed++) {
		unsigned int fired = 0, counted = 0;

		random_state.state = seed;
		init(entries, ENTRIES);
		start(note_fired, NULL);
		for (int step = 0; step < STEPS; step++) {
			struct entry *entry = &entries[random_next(&random_state) % ENTRIES];

			switch (random_next(&random_state) % 8) {
			case 0:
				cancel(entry);
				break;
			case 1:
				arm(entry, now_ns - random_next(&random_state) % now_ns);
				fired += timer_wheel_advance(wheel, now_ns, 1000);
				break;
			case 2:
			case 3:
				now_ns += random_span_ns() / 1000;
				fired += timer_wheel_advance(wheel, now_ns, 1000);
				check_against_list(entries, ENTRIES);
				break;
			default:
				arm(entry, now_ns + random_span_ns());
			}
		}
		for (size_t i = 0; i < ENTRIES; i++)
			counted += entries[i].fired;
		assert_int_equal(fired, counted);
		assert_true(fired > STEPS / 10);
		teardown(NULL);
	}
}

/* Sleeping until next_ns each time must fire everything, in few wake-ups and none late by more than a tick. */
static void
sleeping_until_next_fires_everything_in_time(void **state)
{
	enum { ENTRIES = 1000 };
	static struct entry entries[ENTRIES];
	unsigned int wakes = 0, fired = 0;

	random_state.state = 5;
	init(entries, ENTRIES);
	start(note_fired, NULL);
	for (size_t i = 0; i < ENTRIES; i++)
		arm(&entries[i], now_ns + random_span_ns());
	while (fired < ENTRIES) {
		uint64_t next_ns = timer_wheel_next_ns(wheel);

		assert_true(next_ns != NEVER && next_ns > now_ns);
		now_ns = next_ns;
		fired += timer_wheel_advance(wheel, now_ns, UINT32_MAX);
		check_against_list(entries, ENTRIES);
		wakes++;
	}
	/* Each timer at most once per level, and once for waiting beyond. */
	assert_in_range(wakes, 1, ENTRIES * 5);
	assert_true(timer_wheel_next_ns(wheel) == NEVER);
}

static void
a_timer_fires_within_a_tick_and_never_early(void **state)
{
	struct entry entry;

	init(&entry, 1);
	start(note_fired, NULL);
	for (uint64_t span_ns = 1; span_ns < 1ull << 50; span_ns = span_ns * 3 + 1) {
		uint64_t deadline_ns = now_ns + span_ns;

		arm(&entry, deadline_ns);
		now_ns = deadline_ns - 1;
		assert_int_equal(timer_wheel_advance(wheel, now_ns, 1), 0);
		now_ns = deadline_ns + TICK_NS;
		assert_int_equal(timer_wheel_advance(wheel, now_ns, 1), 1);
	}
}

static void
deadlines_beyond_the_wheel_fire_too(void **state)
{
	uint64_t far_ns = 5 * (TICK_NS << 32) + 12345, start_ns;
	struct entry entries[3];

	init(entries, 3);
	start(note_fired, NULL);
	start_ns = now_ns;
	arm(&entries[0], start_ns + far_ns);
	arm(&entries[1], start_ns + (TICK_NS << 32));
	arm(&entries[2], NEVER - 1);
	while (entries[0].fired == 0) {
		now_ns = timer_wheel_next_ns(wheel);
		timer_wheel_advance(wheel, now_ns, 10);
	}
	assert_in_range(now_ns, start_ns + far_ns, start_ns + far_ns + TICK_NS);
	assert_int_equal(entries[1].fired, 1);
	assert_int_equal(entries[2].fired, 0);
	/* And without waking between: everything was slept through. */
	arm(&entries[0], now_ns + 3 * (TICK_NS << 32));
	arm(&entries[1], now_ns + 7 * (TICK_NS << 32) + TICK_NS);
	now_ns += 8 * (TICK_NS << 32);
	assert_int_equal(timer_wheel_advance(wheel, now_ns, 10), 2);
	check_against_list(entries, 3);
}

static void
crossing_the_wheels_end_keeps_order(void **state)
{
	struct entry entries[64];

	init(entries, 64);
	start(note_fired, NULL);
	now_ns += (TICK_NS << 32) - 32 * TICK_NS;
	timer_wheel_advance(wheel, now_ns, 1);
	for (uint64_t i = 0; i < 64; i++)
		arm(&entries[i], now_ns + (i + 1) * TICK_NS);
	for (uint64_t i = 0; i < 64; i++) {
		now_ns += TICK_NS;
		assert_int_equal(timer_wheel_advance(wheel, now_ns, 100), 1);
		assert_int_equal(entries[i].fired, 1);
	}
}

static void
the_budget_holds_and_the_rest_comes_next(void **state)
{
	struct entry entries[100];
	unsigned int fired = 0;

	init(entries, 100);
	start(note_fired, NULL);
	for (uint64_t i = 0; i < 100; i++)
		arm(&entries[i], i < 40 ? now_ns : now_ns + (i < 70 ? TICK_NS : i * TICK_NS * 10));
	now_ns += 1000 * TICK_NS;
	for (int i = 0; i < 14; i++) {
		assert_int_equal(timer_wheel_advance(wheel, now_ns, 7), 7);
		assert_true(timer_wheel_next_ns(wheel) <= now_ns);
		fired += 7;
	}
	assert_int_equal(timer_wheel_advance(wheel, now_ns, 7), 100 - fired);
	assert_true(timer_wheel_next_ns(wheel) == NEVER);
}

static void
cancelling_leaves_nothing_to_wake_for(void **state)
{
	static struct entry entries[2000];

	random_state.state = 11;
	init(entries, 2000);
	start(note_fired, NULL);
	for (size_t i = 0; i < 2000; i++)
		arm(&entries[i], now_ns + random_span_ns());
	for (size_t i = 0; i < 2000; i++)
		cancel(&entries[(i * 7) % 2000]);
	assert_true(timer_wheel_next_ns(wheel) == NEVER);
	cancel(&entries[0]);
}

static void
moving_an_armed_timer_forgets_the_old_deadline(void **state)
{
	struct entry entry;

	init(&entry, 1);
	start(note_fired, NULL);
	arm(&entry, now_ns + 10 * TICK_NS);
	arm(&entry, now_ns + 1000 * TICK_NS);
	now_ns += 500 * TICK_NS;
	assert_int_equal(timer_wheel_advance(wheel, now_ns, 10), 0);
	arm(&entry, now_ns + TICK_NS);
	now_ns += 2 * TICK_NS;
	assert_int_equal(timer_wheel_advance(wheel, now_ns, 10), 1);
	now_ns += 1000 * TICK_NS;
	assert_int_equal(timer_wheel_advance(wheel, now_ns, 10), 0);
}

/* ---- inside the expire function ---- */

static struct entry *victims;
static size_t victims_count;

static void
fire_and_cancel_all(void *owner, struct timer *timer, uint64_t at_ns)
{
	note_fired(owner, timer, at_ns);
	for (size_t i = 0; i < victims_count; i++)
		cancel(&victims[i]);
}

static void
expire_may_cancel_what_is_due_with_it(void **state)
{
	struct entry entries[10];

	init(entries, 10);
	victims = entries;
	victims_count = 10;
	start(fire_and_cancel_all, NULL);
	for (int past = 0; past < 2; past++) {
		for (size_t i = 0; i < 10; i++)
			arm(&entries[i], past ? now_ns : now_ns + TICK_NS + i % 2 * TICK_NS);
		now_ns += 10 * TICK_NS;
		assert_int_equal(timer_wheel_advance(wheel, now_ns, 100), 1);
		assert_true(timer_wheel_next_ns(wheel) == NEVER);
	}
}

static void
rearm_now(void *owner, struct timer *timer, uint64_t at_ns)
{
	note_fired(owner, timer, at_ns);
	arm(entry_of(timer), at_ns);
}

static void
rearming_for_now_does_not_go_round_for_ever(void **state)
{
	struct entry entry;
	unsigned int fired;

	init(&entry, 1);
	start(rearm_now, NULL);
	arm(&entry, now_ns);
	now_ns += 1000 * TICK_NS;
	fired = timer_wheel_advance(wheel, now_ns, 1000);
	assert_in_range(fired, 1, 2);
	assert_true(timer_wheel_next_ns(wheel) <= now_ns + TICK_NS);
	now_ns += TICK_NS;
	assert_in_range(timer_wheel_advance(wheel, now_ns, 1000), 1, 2);
}

static void
free_object(void *owner, struct timer *timer, uint64_t at_ns)
{
	(*(unsigned int *)owner)++;
	free(entry_of(timer));
}

static void
expire_may_free_the_object(void **state)
{
	unsigned int freed = 0;

	start(free_object, &freed);
	for (uint64_t i = 0; i < 100; i++) {
		struct entry *entry = malloc(sizeof(*entry));

		init(entry, 1);
		arm(entry, now_ns + i * i * TICK_NS / 7);
	}
	now_ns += 10000 * TICK_NS;
	assert_int_equal(timer_wheel_advance(wheel, now_ns, 1000), 100);
	assert_int_equal(freed, 100);
}

static void
a_tick_is_rounded_down_to_keep_the_promise(void **state)
{
	struct entry entry;

	init(&entry, 1);
	start(note_fired, NULL);
	teardown(NULL);
	wheel = timer_wheel_new(NS_PER_MS, now_ns, note_fired, NULL);
	arm(&entry, now_ns + 1);
	now_ns += NS_PER_MS;
	assert_int_equal(timer_wheel_advance(wheel, now_ns, 1), 1);
}

/* ---- deadlines that are put off ---- */

static unsigned int met, vain;

static void
note_met(void *owner, struct timer *timer, uint64_t at_ns)
{
	struct timer_deadline *deadline = container_of(timer, struct timer_deadline, timer);

	if (timer_deadline_met(wheel, deadline, at_ns))
		met++;
	else
		vain++;
}

static void
advance_to(uint64_t ns)
{
	now_ns = ns;
	timer_wheel_advance(wheel, now_ns, 100);
}

static void
a_deadline_that_is_put_off_fires_once_in_vain_and_then_in_time(void **state)
{
	struct timer_deadline deadline;
	uint64_t start_ns;

	start(note_met, NULL);
	start_ns = now_ns;
	met = vain = 0;
	timer_deadline_init(&deadline);
	assert_false(timer_deadline_pending(&deadline));
	for (unsigned int i = 0; i < 100; i++)
		timer_deadline_set(wheel, &deadline, start_ns + (100 + i) * TICK_NS);
	assert_true(timer_deadline_pending(&deadline));
	advance_to(start_ns + 150 * TICK_NS);
	assert_int_equal(met, 0);
	assert_int_equal(vain, 1);
	advance_to(start_ns + 198 * TICK_NS);
	assert_int_equal(met, 0);
	advance_to(start_ns + 200 * TICK_NS);
	assert_int_equal(met, 1);
	assert_int_equal(vain, 1);
	assert_false(timer_deadline_pending(&deadline));
	assert_int_equal(timer_wheel_next_ns(wheel), NEVER);
}

static void
a_deadline_may_come_nearer_or_be_taken_back(void **state)
{
	struct timer_deadline deadline;
	uint64_t start_ns;

	start(note_met, NULL);
	start_ns = now_ns;
	met = vain = 0;
	timer_deadline_init(&deadline);
	timer_deadline_set(wheel, &deadline, start_ns + 100 * TICK_NS);
	timer_deadline_set(wheel, &deadline, start_ns + 10 * TICK_NS);
	advance_to(start_ns + 11 * TICK_NS);
	assert_int_equal(met, 1);
	timer_deadline_set(wheel, &deadline, start_ns + 20 * TICK_NS);
	timer_deadline_clear(&deadline);
	advance_to(start_ns + 200 * TICK_NS);
	assert_int_equal(met, 1);
	assert_int_equal(vain, 1);
	timer_deadline_set(wheel, &deadline, start_ns + 300 * TICK_NS);
	timer_deadline_cancel(wheel, &deadline);
	assert_false(timer_armed(&deadline.timer));
	assert_int_equal(timer_wheel_next_ns(wheel), NEVER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_agrees_with_a_list_under_a_random_workload),
		cmocka_unit_test_teardown(sleeping_until_next_fires_everything_in_time, teardown),
		cmocka_unit_test_teardown(a_timer_fires_within_a_tick_and_never_early, teardown),
		cmocka_unit_test_teardown(deadlines_beyond_the_wheel_fire_too, teardown),
		cmocka_unit_test_teardown(crossing_the_wheels_end_keeps_order, teardown),
		cmocka_unit_test_teardown(the_budget_holds_and_the_rest_comes_next, teardown),
		cmocka_unit_test_teardown(cancelling_leaves_nothing_to_wake_for, teardown),
		cmocka_unit_test_teardown(moving_an_armed_timer_forgets_the_old_deadline, teardown),
		cmocka_unit_test_teardown(expire_may_cancel_what_is_due_with_it, teardown),
		cmocka_unit_test_teardown(rearming_for_now_does_not_go_round_for_ever, teardown),
		cmocka_unit_test_teardown(expire_may_free_the_object, teardown),
		cmocka_unit_test_teardown(a_tick_is_rounded_down_to_keep_the_promise, teardown),
		cmocka_unit_test_teardown(a_deadline_that_is_put_off_fires_once_in_vain_and_then_in_time, teardown),
		cmocka_unit_test_teardown(a_deadline_may_come_nearer_or_be_taken_back, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
