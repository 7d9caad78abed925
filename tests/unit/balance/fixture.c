#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture *
fixture_new(const char *method, const char *words)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	fixture->method = balance_method_find(method, strlen(method));
	assert_non_null(fixture->method);
	while (*words) {
		size_t len = strcspn(words, " ");
		const char *error;

		assert_int_equal(fixture->method->option(words, len, &fixture->options, &error), 0);
		words += len + (words[len] == ' ');
	}
	return fixture;
}

void
fixture_free(struct fixture *fixture)
{
	free(fixture->table);
	free(fixture);
}

void
fixture_add(struct fixture *fixture, const char *key, uint32_t weight)
{
	size_t i = fixture->count++;

	if (key)
		snprintf(fixture->keys[i], sizeof(fixture->keys[i]), "%s", key);
	else
		snprintf(fixture->keys[i], sizeof(fixture->keys[i]), "10.0.%zu.%zu:80", i / 250, i % 250 + 1);
	fixture->servers[i] = (struct balance_server){ .key = fixture->keys[i],
						       .key_len = strlen(fixture->keys[i]),
						       .weight = weight };
	fixture->peers[i] = (struct balance_peer){ .weight = (int32_t)weight, .effective_weight = (int32_t)weight };
	fixture_set_usable(fixture, i, true);
}

void
fixture_build(struct fixture *fixture)
{
	const struct balance_method *method = fixture->method;
	size_t size;

	if (!method->table_size)
		return;
	size = method->table_size(fixture->servers, fixture->count, fixture->options, 0);
	assert_true(size > 0);
	fixture->table = malloc(size);
	assert_non_null(fixture->table);
	assert_int_equal(method->build(fixture->table, fixture->servers, fixture->count, fixture->options, 0), 0);
}

void
fixture_set_usable(struct fixture *fixture, size_t index, bool usable)
{
	if (usable)
		fixture->usable[index / 64] |= 1ull << index % 64;
	else
		fixture->usable[index / 64] &= ~(1ull << index % 64);
}

int
fixture_pick(struct fixture *fixture, const void *key, size_t key_len)
{
	struct balance_request request = { .key = key, .key_len = key_len, .random = fixture->random };

	fixture->random = fixture->random * 6364136223846793005ull + 1442695040888963407ull;
	return fixture->method->pick(fixture->table, fixture->options, fixture->peers, fixture->count, fixture->usable,
				     &request);
}

int
fixture_pick_number(struct fixture *fixture, uint32_t number)
{
	uint8_t octets[3] = { (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number };
	char text[32];
	int len = snprintf(text, sizeof(text), "client-%u", number);

	if (fixture->method->properties & BALANCE_NEEDS_ADDRESS)
		return fixture_pick(fixture, octets, sizeof(octets));
	return fixture_pick(fixture, text, (size_t)len);
}
