#include "tls/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define WAYS 4
#define SETS_MAX 4096

struct slot {
	SSL_SESSION *session; /* NULL: empty */
	const struct tls_client *client;
	uint64_t server;
	uint8_t name_len;
	uint8_t name[TLS_SESSIONS_NAME_MAX];
};

struct tls_sessions {
	uint32_t mask;  /* of sets */
	uint32_t turns; /* whose place is taken next in a full set */
	struct slot slots[];
};

struct tls_sessions *
tls_sessions_new(uint32_t servers)
{
	struct tls_sessions *sessions;
	uint32_t sets = 1;

	while (sets < servers && sets < SETS_MAX)
		sets *= 2;
	sessions = calloc(1, sizeof(*sessions) + (size_t)sets * WAYS * sizeof(struct slot));
	if (sessions)
		sessions->mask = sets - 1;
	return sessions;
}

void
tls_sessions_free(struct tls_sessions *sessions)
{
	if (!sessions)
		return;
	for (size_t i = 0; i < ((size_t)sessions->mask + 1) * WAYS; i++)
		SSL_SESSION_free(sessions->slots[i].session);
	free(sessions);
}

static struct slot *
set_of(struct tls_sessions *sessions, const struct tls_client *client, uint64_t server)
{
	uint64_t hash = hash_mix64(server ^ hash_mix64((uintptr_t)client));

	return &sessions->slots[(size_t)(hash & sessions->mask) * WAYS];
}

static bool
is_for(const struct slot *slot, const struct tls_client *client, uint64_t server, struct bytes name)
{
	return slot->session && slot->client == client && slot->server == server &&
	       bytes_equal(bytes_of(slot->name, slot->name_len), name);
}

SSL_SESSION *
tls_sessions_find(struct tls_sessions *sessions, const struct tls_client *client, uint64_t server, struct bytes name,
		  uint64_t now_s)
{
	struct slot *slot = set_of(sessions, client, server);

	for (int i = 0; i < WAYS; i++, slot++) {
		SSL_SESSION *session = slot->session;

		if (!is_for(slot, client, server, name))
			continue;
		if (SSL_SESSION_is_resumable(session) &&
		    (uint64_t)(SSL_SESSION_get_time(session) + SSL_SESSION_get_timeout(session)) > now_s)
			return session;
		SSL_SESSION_free(session);
		slot->session = NULL;
	}
	return NULL;
}

/* That of the same purpose, else an empty one, else each in turn. */
static struct slot *
place_for(struct tls_sessions *sessions, const struct tls_client *client, uint64_t server, struct bytes name)
{
	struct slot *set = set_of(sessions, client, server), *empty = NULL;

	for (int i = 0; i < WAYS; i++) {
		if (is_for(&set[i], client, server, name))
			return &set[i];
		if (!set[i].session)
			empty = &set[i];
	}
	return empty ? empty : &set[sessions->turns++ % WAYS];
}

bool
tls_sessions_store(struct tls_sessions *sessions, const struct tls_client *client, uint64_t server, struct bytes name,
		   SSL_SESSION *session)
{
	struct slot *slot;

	if (name.len > TLS_SESSIONS_NAME_MAX)
		return false;
	slot = place_for(sessions, client, server, name);
	SSL_SESSION_free(slot->session);
	*slot = (struct slot){ .session = session, .client = client, .server = server, .name_len = (uint8_t)name.len };
	if (name.len)
		memcpy(slot->name, name.data, name.len);
	return true;
}
