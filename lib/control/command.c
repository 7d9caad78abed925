#include "control/command.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/bytes.h"
#include "control/change.h"
#include "control/explain.h"
#include "control/maglev.h"
#include "control/status.h"
#include "control/trace.h"

static const char *const verdict_help =
	"Decisions about live packets, as they are made, until N of them (--count) or N seconds (--seconds) are\n"
	"over or ^C. ADDR is an address; of --server, with a port or without. NAME is a verdict as the counters of\n"
	"room l4 are called (drop_no_server). What cannot be shown fast enough is dropped and counted.";

const struct control_command control_commands[] = {
	{ .name = "status",
	  .arguments = "",
	  .help = "Workers, services with their servers, http groups, ports; rates are those of the last second.",
	  .run = control_status,
	  .render = control_status_render },
	{ .name = "counters",
	  .arguments = "",
	  .help = "All named counters, summed over the workers, and what was added in the last second.",
	  .run = control_counters,
	  .render = control_counters_render },
	{ .name = "drain",
	  .arguments = "GROUP SERVER",
	  .help = "The server of a stream group gets no new flows; those it has go on. Holds over reloads.",
	  .words_min = 2,
	  .words_max = 2,
	  .run = control_drain,
	  .render = control_change_render },
	{ .name = "undrain",
	  .arguments = "GROUP SERVER",
	  .help = "The server has the weight of the configuration again.",
	  .words_min = 2,
	  .words_max = 2,
	  .run = control_undrain,
	  .render = control_change_render },
	{ .name = "weight",
	  .arguments = "GROUP SERVER N",
	  .help = "The server of a stream group has weight N until said otherwise; 0 drains it. Holds over reloads.",
	  .words_min = 3,
	  .words_max = 3,
	  .run = control_weight,
	  .render = control_change_render },
	{ .name = "explain",
	  .arguments = "PROTO SRC:PORT DST:PORT [--flags FLAGS]",
	  .help = "What would become of a packet, which need not exist: nothing is sent or changed. PROTO is tcp or "
		  "udp,\n"
		  "FLAGS are those of TCP: syn (unless said otherwise), ack, fin, rst, with commas between them.",
	  .words_min = 3,
	  .words_max = 5,
	  .run = control_explain,
	  .render = control_explain_render },
	{ .name = "trace",
	  .arguments = "[--count N] [--seconds N] [--server ADDR] [--client ADDR] [--verdict NAME]",
	  .help = verdict_help,
	  .words_max = 10,
	  .run = control_trace,
	  .render = control_trace_render },
	{ .name = "maglev table",
	  .arguments = "[--size N] SERVER[=WEIGHT]...",
	  .help = "Computes the table for these servers (ADDR:PORT), which need not exist: entries and share of each.",
	  .words_min = 1,
	  .words_max = UINT32_MAX,
	  .offline = true,
	  .run = control_maglev_table,
	  .render = control_maglev_table_render },
	{ .name = "maglev diff",
	  .arguments = "OLD.conf NEW.conf",
	  .help = "Per group with a Maglev table: entries that a change from one configuration to the other moves.",
	  .words_min = 2,
	  .words_max = 2,
	  .offline = true,
	  .run = control_maglev_diff,
	  .render = control_maglev_diff_render },
	{ 0 },
};

int
control_call_fail(struct control_call *call, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(call->error, sizeof(call->error), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* How many of the words make up `name`; 0: they do not. */
static unsigned int
matching(const char *name, const char *const *words, unsigned int count)
{
	for (unsigned int used = 0; used < count; used++) {
		size_t len = strlen(words[used]);

		if (strncmp(name, words[used], len) != 0)
			return 0;
		if (name[len] == 0)
			return used + 1;
		if (name[len] != ' ')
			return 0;
		name += len + 1;
	}
	return 0;
}

const struct control_command *
control_command_find(const char *const *words, unsigned int count, unsigned int *used)
{
	for (const struct control_command *command = control_commands; command->name; command++) {
		*used = matching(command->name, words, count);
		if (*used)
			return command;
	}
	*used = 0;
	return NULL;
}

static int
run(struct control_call *call, const char *const *words, unsigned int count, bool offline)
{
	unsigned int used;

	if (count == 0)
		return control_call_fail(call, "no command");
	call->command = control_command_find(words, count, &used);
	if (!call->command)
		return control_call_fail(call, "unknown command \"%.64s\"", words[0]);
	if (call->command->offline != offline)
		return control_call_fail(call, "\"%s\" is computed by weirctl itself", call->command->name);
	call->words = words + used;
	call->count = count - used;
	if (call->count < call->command->words_min || call->count > call->command->words_max)
		return control_call_fail(call, "usage: %s%s%s", call->command->name,
					 call->command->arguments[0] ? " " : "", call->command->arguments);
	return call->command->run(call);
}

int
control_command_run(struct control_call *call, const char *const *words, unsigned int count, bool offline)
{
	int result;

	call->answer = json_object();
	call->error[0] = 0;
	result = run(call, words, count, offline);
	if (result < 0) {
		json_object_clear(call->answer);
		/* What was said may quote bytes from outside. */
		if (json_object_set_new(call->answer, "error", json_string(call->error)) < 0)
			json_object_set_new(call->answer, "error", json_string("a word is not UTF-8"));
	}
	return result;
}

/* ---- options ---- */

void
control_words_of(const struct control_call *call, struct control_words *out)
{
	out->count = call->count < CONTROL_WORDS_MAX ? call->count : CONTROL_WORDS_MAX;
	for (unsigned int i = 0; i < out->count; i++)
		out->words[i] = call->words[i];
}

int
control_words_option(struct control_call *call, struct control_words *words, const char *name, const char **value)
{
	unsigned int found = words->count;

	for (unsigned int i = words->count; i-- > 0;) {
		if (strcmp(words->words[i], name) != 0)
			continue;
		if (found != words->count)
			return control_call_fail(call, "%s stands there twice", name);
		found = i;
	}
	if (found == words->count)
		return 0;
	if (found + 1 == words->count)
		return control_call_fail(call, "%s needs a value", name);
	*value = words->words[found + 1];
	words->count -= 2;
	for (unsigned int i = found; i < words->count; i++)
		words->words[i] = words->words[i + 2];
	return 1;
}

int
control_words_number(struct control_call *call, struct control_words *words, const char *name, uint64_t least,
		     uint64_t most, uint64_t *number)
{
	const char *text;
	int found = control_words_option(call, words, name, &text);

	if (found <= 0)
		return found;
	if (!bytes_parse_unsigned(bytes_of_string(text), most, number) || *number < least)
		return control_call_fail(call, "%s must be a number between %lu and %lu", name, (unsigned long)least,
					 (unsigned long)most);
	return 0;
}

int
control_words_end(struct control_call *call, const struct control_words *words, unsigned int least, unsigned int most)
{
	for (unsigned int i = 0; i < words->count; i++)
		if (strncmp(words->words[i], "--", 2) == 0)
			return control_call_fail(call, "unknown option \"%.64s\"", words->words[i]);
	if (words->count < least || words->count > most)
		return control_call_fail(call, "usage: %s %s", call->command->name, call->command->arguments);
	return 0;
}
