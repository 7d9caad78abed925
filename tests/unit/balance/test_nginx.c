/* The choices of nginx itself (nginx_vectors.py asked it), attempt by attempt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "balance/internal.h"
#include "fixture.h"
#include "nginx_vectors.h"

/* One request that fails at every server it is sent to: the servers in the order tried. */
static void
try_all(struct fixture *fixture, const struct vector_case *vector, const struct vector_request *asked, char *order)
{
	struct balance_request request = { .key = (const uint8_t *)asked->key, .key_len = asked->key_len };
	int index;

	for (size_t i = 0; i < fixture->count; i++)
		fixture_set_usable(fixture, i, !vector->servers[i].down);
	while ((index = fixture->method->pick(fixture->table, fixture->options, fixture->peers, fixture->count,
					      fixture->usable, &request)) >= 0) {
		fixture_set_usable(fixture, (size_t)index, false);
		order[request.attempt++] = (char)('0' + index);
	}
	order[request.attempt] = 0;
}

static void
test_every_attempt_goes_where_nginx_sends_it(void **state)
{
	size_t checked = 0;

	for (size_t i = 0; i < sizeof(vector_cases) / sizeof(vector_cases[0]); i++) {
		const struct vector_case *vector = &vector_cases[i];
		struct fixture *fixture = fixture_new(vector->method, vector->option);

		for (size_t j = 0; j < vector->server_count; j++)
			fixture_add(fixture, vector->servers[j].name, vector->servers[j].weight);
		fixture_build(fixture);
		for (size_t j = 0; j < vector->request_count; j++, checked++) {
			char order[16];

			try_all(fixture, vector, &vector->requests[j], order);
			if (strcmp(order, vector->requests[j].order) != 0)
				fail_msg("%s, request %zu (%s): nginx %s, we %s", vector->name, j,
					 vector->requests[j].key, vector->requests[j].order, order);
		}
		fixture_free(fixture);
	}
	assert_true(checked > 400);
}

static void
test_crc32_is_that_of_ieee_802_3(void **state)
{
	assert_int_equal(balance_crc32(0, "123456789", 9), 0xcbf43926); /* the check value of CRC catalogues */
	assert_int_equal(balance_crc32(balance_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
	assert_int_equal(balance_crc32(0, "", 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_attempt_goes_where_nginx_sends_it),
		cmocka_unit_test(test_crc32_is_that_of_ieee_802_3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
