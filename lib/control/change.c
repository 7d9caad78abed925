#include "control/change.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "upstream/upstream.h"

/* As in the configuration. */
#define WEIGHT_MAX 1000000

static int
fail_unknown(struct control_call *call, struct bytes group)
{
	struct config *config = call->facts->config;

	if (!config)
		return control_call_fail(call, "weir is starting");
	if (upstream_stream_group_find(config, group))
		return control_call_fail(call, "no server \"%.64s\" in upstream \"%.64s\" of stream", call->words[1],
					 call->words[0]);
	if (upstream_group_find(config, group))
		return control_call_fail(call,
					 "upstream \"%.64s\" is one of http: only groups of stream can be changed",
					 call->words[0]);
	return control_call_fail(call, "no upstream \"%.64s\" in stream", call->words[0]);
}

/* `weight` -1: the configuration's. */
static int
change(struct control_call *call, int64_t weight)
{
	const struct control_facts *facts = call->facts;
	struct bytes group = bytes_of_string(call->words[0]), server = bytes_of_string(call->words[1]);
	char reason[512] = "";
	int result;

	if (!facts->registry)
		return fail_unknown(call, group);
	result = l4_registry_weigh(facts->registry, facts->config, group, server, weight);
	if (result == -ENOENT)
		return fail_unknown(call, group);
	if (result < 0)
		return control_call_fail(call, "%s", strerror(-result));
	result = call->host->republish(call->host->context, reason, sizeof(reason));
	if (result < 0)
		return control_call_fail(call, "noted, but not in force before the next reload: %s",
					 reason[0] ? reason : strerror(-result));
	if (weight < 0)
		log_error(LOG_NOTICE, "weirctl: server \"%s\" of \"%s\" has its configured weight again",
			  call->words[1], call->words[0]);
	else
		log_error(LOG_NOTICE, "weirctl: server \"%s\" of \"%s\" has weight %ld", call->words[1], call->words[0],
			  (long)weight);
	json_object_set_new(call->answer, "group", json_string(call->words[0]));
	json_object_set_new(call->answer, "server", json_string(call->words[1]));
	json_object_set_new(call->answer, "weight", weight < 0 ? json_null() : json_integer(weight));
	return 0;
}

int
control_drain(struct control_call *call)
{
	return change(call, 0);
}

int
control_undrain(struct control_call *call)
{
	return change(call, -1);
}

int
control_weight(struct control_call *call)
{
	uint64_t weight;

	if (!bytes_parse_unsigned(bytes_of_string(call->words[2]), WEIGHT_MAX, &weight))
		return control_call_fail(call, "invalid weight \"%.64s\": it must be between 0 and %d", call->words[2],
					 WEIGHT_MAX);
	return change(call, (int64_t)weight);
}

void
control_change_render(const json_t *answer, FILE *out)
{
	const json_t *weight = json_object_get(answer, "weight");
	const char *group = json_string_value(json_object_get(answer, "group"));
	const char *server = json_string_value(json_object_get(answer, "server"));

	if (!json_is_integer(weight))
		fprintf(out, "%s of %s has its configured weight\n", server, group);
	else if (json_integer_value(weight) == 0)
		fprintf(out, "%s of %s is drained: no new flows, those it has go on\n", server, group);
	else
		fprintf(out, "%s of %s has weight %lld\n", server, group, (long long)json_integer_value(weight));
}
