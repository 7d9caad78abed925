/*
 * Commands: one row each, in command.c. The row is all there is to adding one: the socket, weirctl and `weirctl help` walk
 * the table.
 */
#ifndef CONTROL_COMMAND_H
#define CONTROL_COMMAND_H

#include <jansson.h>
#include <stdio.h>

#include "control/control.h"
#include "control/request.h"

struct control_client;
struct control_sample;

/* A command under way. */
struct control_call {
	const struct control_command *command;
	const char *const *words; /* behind the command's name */
	unsigned int count;
	json_t *answer; /* for the command to fill: an object, empty at first */
	char error[512];
	/* Commands of a running Weir */
	struct control_server *server;
	const struct control_host *host;
	const struct control_facts *facts;
	const struct control_sample *sample; /* numbers of a second ago, and rates */
	struct control_client *client;
	/* Offline commands: reads a configuration file. NULL after writing the reason. */
	struct config *(*parse)(const char *path, char *error, size_t size);
};

struct control_command {
	const char *name;      /* one word, or two for offline commands with a family: "maglev table" */
	const char *arguments; /* "GROUP SERVER", "[--count N]" */
	const char *help;      /* one line or more, for `weirctl help` */
	unsigned int words_min, words_max;
	bool offline; /* weirctl does it by itself */
	/* 0 with the answer, -errno after control_call_fail(), or CONTROL_STREAMS: lines come from elsewhere until the
	 * client or the command ends it. */
	int (*run)(struct control_call *call);
	/* An answer (of a stream: each line) as text. */
	void (*render)(const json_t *answer, FILE *out);
};

#define CONTROL_STREAMS 1

/* Ends with a NULL name. */
extern const struct control_command control_commands[];

/* By the first words of a request; *used is how many words the name takes. NULL: no such command. */
const struct control_command *control_command_find(const char *const *words, unsigned int count, unsigned int *used);

/* Finds, checks and runs the command of `words`, whose answer, {"error": ...} included, is call->answer, the caller's to
 * free. `offline` picks which kind may run. Returns what run() returned; negative: there was an error. */
int control_command_run(struct control_call *call, const char *const *words, unsigned int count, bool offline);

/* Records the error; -EINVAL. */
int control_call_fail(struct control_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `--NAME VALUE` options at any place among the words: takes the one found out of *words and gives its value. 1, 0 when it
 * is not there, -EINVAL when it has no value or comes twice. What is left is for positions. */
struct control_words {
	const char *words[CONTROL_WORDS_MAX];
	unsigned int count;
};
void control_words_of(const struct control_call *call, struct control_words *out);
int control_words_option(struct control_call *call, struct control_words *words, const char *name, const char **value);
/* The same for a number within bounds; *number stays as it was without the option. 0 or -EINVAL. */
int control_words_number(struct control_call *call, struct control_words *words, const char *name, uint64_t least,
			 uint64_t most, uint64_t *number);
/* What is left must be `count` words that are no options. 0 or -EINVAL. */
int control_words_end(struct control_call *call, const struct control_words *words, unsigned int least,
		      unsigned int most);

#endif
