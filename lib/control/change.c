#include "control/change.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "upstream/upstream.h"

/* As in the configuration. */
#define WEIGHT_MAX 1000000

/* A kind of group: those that the operator may mean, and what he has said of them. */
struct subject {
	const char *kind; /* "http" or "stream" */
	struct upstream_group *(*find)(struct config *config, struct bytes name);
	struct upstream_weights *weights; /* NULL: there are no such groups */
	const struct upstream_group *group;
};

/* "http:web" means the one of http only. */
static struct bytes
name_in(const char *kind, const char *word)
{
	size_t len = strlen(kind);

	return bytes_of_string(strncmp(word, kind, len) == 0 && word[len] == ':' ? word + len + 1 : word);
}

/* 0, or what control_call_fail() returns. */
static int
find_subject(struct control_call *call, struct subject *out)
{
	const struct control_facts *facts = call->facts;
	struct upstream_weights *of_stream = facts->registry ? l4_registry_weights(facts->registry) : NULL;
	struct subject subjects[] = { { "http", upstream_group_find, facts->http_weights, NULL },
				      { "stream", upstream_stream_group_find, of_stream, NULL } };
	const char *word = call->words[0];
	unsigned int found = 0;

	if (!facts->config)
		return control_call_fail(call, "weir is starting");
	for (struct subject *subject = subjects; subject < subjects + 2; subject++) {
		subject->group = subject->find(facts->config, name_in(subject->kind, word));
		if (!subject->group || !subject->weights)
			continue;
		*out = *subject;
		found++;
	}
	if (found == 2)
		return control_call_fail(call,
					 "there is an upstream \"%.64s\" in http and one in stream: say "
					 "\"http:%.64s\" or \"stream:%.64s\"",
					 word, word, word);
	return found ? 0 : control_call_fail(call, "no upstream \"%.64s\"", word);
}

/* `weight` -1: the configuration's. */
static int
change(struct control_call *call, int64_t weight)
{
	char reason[512] = "";
	struct subject subject = { 0 };
	int result = find_subject(call, &subject);

	if (result < 0)
		return result;
	result = upstream_weights_set(subject.weights, subject.group, bytes_of_string(call->words[1]), weight);
	if (result == -ENOENT)
		return control_call_fail(call, "no server \"%.64s\" in upstream \"%.64s\" of %s", call->words[1],
					 call->words[0], subject.kind);
	if (result == -ERANGE)
		return control_call_fail(call, "the weights in upstream \"%.64s\" are too large for \"%s\"",
					 call->words[0], subject.group->method->name);
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
	json_object_set_new(call->answer, "kind", json_string(subject.kind));
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
	const char *kind = json_string_value(json_object_get(answer, "kind"));

	if (!json_is_integer(weight))
		fprintf(out, "%s of %s has its configured weight\n", server, group);
	else if (json_integer_value(weight) == 0)
		fprintf(out, "%s of %s is drained: no new %s, those it has go on\n", server, group,
			strcmp(kind, "http") == 0 ? "requests" : "flows");
	else
		fprintf(out, "%s of %s has weight %lld\n", server, group, (long long)json_integer_value(weight));
}
