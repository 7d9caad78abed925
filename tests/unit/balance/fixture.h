/* Servers behind one method: what upstream/ does around balance/, as far as these tests need it. */
#ifndef BALANCE_FIXTURE_H
#define BALANCE_FIXTURE_H

#include "balance/balance.h"

#define FIXTURE_SERVERS_MAX 1024

struct fixture {
	const struct balance_method *method;
	uint32_t options;
	void *table;
	size_t count;
	struct balance_server servers[FIXTURE_SERVERS_MAX];
	struct balance_peer peers[FIXTURE_SERVERS_MAX];
	uint64_t usable[FIXTURE_SERVERS_MAX / 64];
	char keys[FIXTURE_SERVERS_MAX][32];
	uint64_t random; /* of the next request */
};

/* `words` are given to option() one by one; may be empty. No servers yet. */
struct fixture *fixture_new(const char *method, const char *words);
void fixture_free(struct fixture *fixture);

/* All servers are added before fixture_build(). A NULL key: "10.0.X.Y:80", by index. */
void fixture_add(struct fixture *fixture, const char *key, uint32_t weight);
void fixture_build(struct fixture *fixture);

void fixture_set_usable(struct fixture *fixture, size_t index, bool usable);
int fixture_pick(struct fixture *fixture, const void *key, size_t key_len);
/* With a key, an IPv4 client's three octets and random bits made of `number`. */
int fixture_pick_number(struct fixture *fixture, uint32_t number);

#endif
