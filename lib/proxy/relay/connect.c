/* From a relay to a server: which group, which server, and the next one; or what is said in its place. */
#include <errno.h>
#include <string.h>

#include "proxy/relay/relay.h"
#include "proxy/worker.h"

#define KEY_MAX 1024
#define NAME_MAX_LEN 512
#define ANSWER_MAX 16384 /* a connection that has said nothing yet has room for so much */

/* ---- which group ---- */

static const struct upstream_group *
group_named(const struct proxy_relay *s, struct bytes name)
{
	const struct proxy_generation *g = s->share->generation;

	for (const struct proxy_relay_place *place = s->server->places; place; place = place->next)
		if (bytes_equal(place->text, name))
			return place->group;
	for (uint32_t i = g->http_group_count; i < g->group_count; i++)
		if (!g->groups[i]->implicit && bytes_equal_ignoring_case(g->groups[i]->name, name))
			return g->groups[i];
	return NULL;
}

static const struct upstream_group *
group_of(struct proxy_relay *s)
{
	const struct upstream_group *group;
	uint8_t name[NAME_MAX_LEN];
	size_t len;

	if (s->server->group)
		return s->server->group;
	len = config_value_write(s->server->words->pass, s, name, sizeof(name), CONFIG_MISSING_EMPTY, NULL);
	if (len == SIZE_MAX)
		len = 0;
	group = len ? group_named(s, bytes_of(name, len)) : NULL;
	if (!group)
		proxy_relay_log(s, LOG_ERR, "there is no upstream \"%.*s\"", (int)len, (const char *)name);
	return group;
}

/* ---- which server ---- */

static bool
may_retry(const struct proxy_relay *s)
{
	const struct proxy_relay_server *server = s->server;
	uint64_t spent_ms = (s->worker->now_ns - s->first_attempt_ns) / NS_PER_MS;

	if (!server->next || s->attempts.count >= upstream_tries(s->share->states[s->group->index]))
		return false;
	if (server->next_tries && s->tried_count >= (uint64_t)server->next_tries)
		return false;
	return !server->next_timeout_ms || spent_ms < (uint64_t)server->next_timeout_ms;
}

static void
attempt_record(struct proxy_relay *s, struct bytes address)
{
	s->tried_count++;
	proxy_attempt_start(proxy_relay_attempt(s), address, s->worker->now_ns);
}

void
proxy_relay_release(struct proxy_relay *s, enum upstream_result result, bool reset)
{
	struct proxy_link *link = s->link;

	if (s->server_index >= 0) {
		struct proxy_attempt *attempt = proxy_relay_attempt(s);

		if (upstream_done(s->share->states[s->group->index], (uint32_t)s->server_index, result,
				  s->worker->now_ns))
			proxy_relay_log(s, LOG_WARN,
					"upstream server temporarily disabled while connecting to upstream");
		attempt->response_ms = (int32_t)((s->worker->now_ns - attempt->started_ns) / NS_PER_MS);
	}
	s->server_index = -1;
	s->link = NULL;
	if (!link)
		return;
	if (reset || !link->call.connected)
		proxy_link_close(link);
	else
		proxy_link_finish(link);
}

/* Picks and opens until a link is there or nothing is left. */
static void
next_attempt(struct proxy_relay *s)
{
	struct upstream_state *state = s->share->states[s->group->index];
	uint8_t buffer[KEY_MAX];
	struct bytes key = proxy_balance_key(s->group, s, &s->remote, buffer, sizeof(buffer));

	for (;;) {
		int index = upstream_pick(state, &s->attempts, key, s->worker->now_ns), error = 0;

		if (index < 0) {
			PROXY_COUNT(s->worker, UPSTREAM_NO_LIVE);
			attempt_record(s, s->group->name);
			proxy_relay_log(s, LOG_ERR, "no live upstreams while connecting to upstream");
			proxy_relay_end(s, 502);
			return;
		}
		attempt_record(s, s->group->servers[index].address_text);
		s->server_index = index;
		s->link = proxy_link_new(s->worker, s->share, s->group, (uint32_t)index, &error);
		if (s->link)
			break;
		PROXY_COUNT(s->worker, UPSTREAM_CONNECT_FAILED);
		proxy_relay_log(s, LOG_CRIT, "connect() failed (%d: %s) while connecting to upstream", -error,
				strerror(-error));
		proxy_relay_release(s, UPSTREAM_FAILED, false);
		if (!may_retry(s)) {
			proxy_relay_end(s, 502);
			return;
		}
	}
	s->link->relay = s;
	proxy_call_arm(&s->link->call, s->server->connect_timeout_ms);
}

/* `return` */
static void
answer(struct proxy_relay *s)
{
	static _Thread_local uint8_t text[ANSWER_MAX];
	struct proxy_transport *client = &s->session->transport;
	size_t len = config_value_write(s->server->words->answer, s, text, sizeof(text), CONFIG_MISSING_EMPTY, NULL);

	if (len == SIZE_MAX) {
		proxy_relay_log(s, LOG_ERR, "what \"return\" says is longer than %d bytes", ANSWER_MAX);
		proxy_relay_end(s, 500);
		return;
	}
	s->bytes_sent = proxy_transport_write(client, text, (uint32_t)len);
	if (s->bytes_sent == len) {
		proxy_relay_end(s, 200);
		return;
	}
	PROXY_COUNT(s->worker, OUT_OF_MEMORY);
	proxy_relay_abort(s, 500);
}

void
proxy_relay_connect(struct proxy_relay *s)
{
	s->state = PROXY_RELAY_CONNECTING;
	if (s->server->words->answer) {
		answer(s);
		return;
	}
	s->group = group_of(s);
	s->first_attempt_ns = s->worker->now_ns;
	if (s->group)
		next_attempt(s);
	else
		proxy_relay_end(s, 500);
}

static void
next_or_end(struct proxy_relay *s)
{
	proxy_relay_release(s, UPSTREAM_FAILED, false);
	if (!may_retry(s)) {
		proxy_relay_end(s, 502);
		return;
	}
	PROXY_COUNT(s->worker, UPSTREAM_NEXT);
	next_attempt(s);
}

void
proxy_relay_connect_failed(struct proxy_relay *s)
{
	PROXY_COUNT(s->worker, UPSTREAM_CONNECT_FAILED);
	proxy_relay_log(s, LOG_ERR, "%s while connecting to upstream",
			proxy_connect_error(proxy_transport_close_reason(&s->link->transport)));
	next_or_end(s);
}

void
proxy_relay_link_timeout(struct proxy_relay *s)
{
	PROXY_COUNT(s->worker, UPSTREAM_TIMEOUT);
	proxy_relay_log(s, LOG_ERR, "upstream timed out (110: Connection timed out) while connecting to upstream");
	next_or_end(s);
}
