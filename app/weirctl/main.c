/*
 * weirctl: asks a running Weir over its control socket, and computes Maglev tables without one.
 *
 *     weirctl [--socket PATH] [--json] COMMAND [ARGUMENT]...
 *
 * Exit code 0, or 1 with a reason on standard error. The commands are the table of control/command.h.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/command.h"
#include "proxy/exchange/exchange.h"
#include "weir/cmdline.h"
#include "weir/core.h"
#include "weir/modules.h"
#include "weirctl/connection.h"
#include "weirctl/doctor/doctor.h"

struct options {
	char socket[4096];
	bool json, help, version;
	const char **words;
	unsigned int count;
};

/* ---- help ---- */

/* Rows of weirctl's own, beside those of control/command.h: what is no question to a Weir. */
static const struct control_command *const own_commands[] = { &doctor_command };

static const struct control_command *
find_own(const char *name)
{
	for (size_t i = 0; i < sizeof(own_commands) / sizeof(own_commands[0]); i++)
		if (strcmp(own_commands[i]->name, name) == 0)
			return own_commands[i];
	return NULL;
}

static void
print_command(const struct control_command *command)
{
	printf("\n  %s %s\n", command->name, command->arguments);
	for (const char *line = command->help; *line;) {
		size_t len = strcspn(line, "\n");

		printf("      %.*s\n", (int)len, line);
		line += len + (line[len] == '\n');
	}
}

static void
print_help(const char *default_socket)
{
	printf("usage: weirctl [--socket PATH] [--json] COMMAND [ARGUMENT]...\n"
	       "\n"
	       "Asks a running weir, or changes it until its next start.\n"
	       "\n"
	       "  -s, --socket PATH  its control socket (%s)\n"
	       "  -j, --json         print the answer as it came: one line of JSON; of trace, one per decision\n"
	       "  -h, --help         this\n"
	       "  -v, --version\n"
	       "\n"
	       "Commands of a running weir:\n",
	       default_socket);
	for (const struct control_command *command = control_commands; command->name; command++)
		if (!command->offline)
			print_command(command);
	printf("\nCommands that need none:\n");
	for (const struct control_command *command = control_commands; command->name; command++)
		if (command->offline)
			print_command(command);
	for (size_t i = 0; i < sizeof(own_commands) / sizeof(own_commands[0]); i++)
		print_command(own_commands[i]);
	print_command(&(struct control_command){
		.name = "help", .arguments = "[COMMAND]", .help = "This, or a part of it." });
}

static int
help(const struct options *options)
{
	unsigned int used;
	const struct control_command *command;

	if (options->count < 2) {
		print_help(options->socket);
		return EXIT_SUCCESS;
	}
	command = control_command_find(options->words + 1, options->count - 1, &used);
	if (!command)
		command = find_own(options->words[1]);
	if (!command) {
		fprintf(stderr, "weirctl: unknown command \"%s\"\n", options->words[1]);
		return EXIT_FAILURE;
	}
	print_command(command);
	return EXIT_SUCCESS;
}

/* ---- answers ---- */

/* True when it is no error. */
static bool
print_answer(const struct options *options, const struct control_command *command, const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");

	if (options->json) {
		json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
		putchar('\n');
		fflush(stdout);
	} else if (error) {
		fprintf(stderr, "weirctl: %s\n", json_is_string(error) ? json_string_value(error) : "?");
	} else if (command) {
		command->render(answer, stdout);
	}
	return !error;
}

static struct config *
parse(const char *path, char *error, size_t size)
{
	struct config_source source = { .path = path, .prefix = CMDLINE_PREFIX, .unsupported = core_unsupported };
	struct config *config = config_parse(&source, weir_modules());

	if (!config_error(config))
		return config;
	snprintf(error, size, "%s", config_error(config));
	config_free(config);
	return NULL;
}

/* Its run() gives 1 where it found what it should not have. */
static int
run_own(const struct options *options, const struct control_command *command)
{
	struct control_call call = { .parse = parse,
				     .command = command,
				     .words = options->words + 1,
				     .count = options->count - 1,
				     .answer = json_object() };
	int result;

	proxy_variables_define();
	if (call.count > command->words_max)
		result = control_call_fail(&call, "usage: %s %s", command->name, command->arguments);
	else
		result = command->run(&call);
	if (result < 0 && json_object_set_new(call.answer, "error", json_string(call.error)) < 0)
		json_object_set_new(call.answer, "error", json_string("a word is not UTF-8"));
	print_answer(options, command, call.answer);
	json_decref(call.answer);
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
run_offline(const struct options *options)
{
	struct control_call call = { .parse = parse };
	bool good;

	proxy_variables_define();
	control_command_run(&call, options->words, options->count, true);
	good = print_answer(options, call.command, call.answer);
	json_decref(call.answer);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- a running Weir ---- */

static struct connection *interrupted_connection;

static void
interrupt(int number)
{
	connection_finish(interrupted_connection);
}

/* The first ^C ends a trace, with its last line; the second ends us. */
static void
catch_interrupt(struct connection *connection)
{
	struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };

	interrupted_connection = connection;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static bool
is_last(const struct control_command *command, const json_t *answer)
{
	return strcmp(command->name, "trace") != 0 || json_object_get(answer, "end") ||
	       json_object_get(answer, "error");
}

static int
converse(const struct options *options, const struct control_command *command, struct connection *connection)
{
	int result = connection_send(connection, options->words, options->count);
	bool good = true, last = false;

	if (result < 0) {
		fprintf(stderr, "weirctl: the request cannot be sent (%d: %s)\n", -result, strerror(-result));
		return EXIT_FAILURE;
	}
	while (!last) {
		json_t *answer = connection_receive(connection);

		if (!answer)
			return EXIT_FAILURE;
		good = print_answer(options, command, answer);
		last = is_last(command, answer) || ferror(stdout);
		json_decref(answer);
	}
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
run_online(const struct options *options, const struct control_command *command)
{
	struct connection *connection = connection_open(options->socket);
	int result;

	if (!connection)
		return EXIT_FAILURE;
	if (strcmp(command->name, "trace") == 0)
		catch_interrupt(connection);
	result = converse(options, command, connection);
	connection_close(connection);
	return result;
}

/* ---- the command line ---- */

static bool
is(const char *word, const char *brief, const char *full)
{
	return strcmp(word, brief) == 0 || strcmp(word, full) == 0;
}

/* Options stand in front of the command; --json anywhere. */
static int
parse_options(struct options *options, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];

		if (strcmp(word, "--json") == 0 || (!options->count && strcmp(word, "-j") == 0)) {
			options->json = true;
		} else if (options->count || word[0] != '-') {
			options->words[options->count++] = word;
		} else if (is(word, "-h", "--help")) {
			options->help = true;
		} else if (is(word, "-v", "--version")) {
			options->version = true;
		} else if (is(word, "-s", "--socket") && i + 1 < argc) {
			snprintf(options->socket, sizeof(options->socket), "%s", argv[++i]);
		} else {
			fprintf(stderr, "weirctl: %s \"%s\"\n",
				is(word, "-s", "--socket") ? "no path behind" : "unknown option", word);
			return -EINVAL;
		}
	}
	return 0;
}

static int
act(const struct options *options)
{
	const struct control_command *command;
	unsigned int used;

	if (options->version) {
		printf("weirctl version: weir/" WEIR_VERSION "\n");
		return EXIT_SUCCESS;
	}
	if (options->help || (options->count && strcmp(options->words[0], "help") == 0))
		return help(options);
	if (!options->count) {
		fprintf(stderr, "weirctl: no command; \"weirctl help\" says which there are\n");
		return EXIT_FAILURE;
	}
	command = find_own(options->words[0]);
	if (command)
		return run_own(options, command);
	command = control_command_find(options->words, options->count, &used);
	if (!command) {
		fprintf(stderr, "weirctl: unknown command \"%s\"; \"weirctl help\" says which there are\n",
			options->words[0]);
		return EXIT_FAILURE;
	}
	return command->offline ? run_offline(options) : run_online(options, command);
}

int
main(int argc, char **argv)
{
	struct options options = { 0 };
	int result = EXIT_FAILURE;

	options.words = calloc((size_t)argc + 1, sizeof(*options.words));
	control_socket_path(CMDLINE_PID, options.socket, sizeof(options.socket));
	if (options.words && parse_options(&options, argc, argv) == 0)
		result = act(&options);
	free(options.words);
	if (fflush(stdout) != 0 && result == EXIT_SUCCESS) {
		fprintf(stderr, "weirctl: standard output cannot be written (%d: %s)\n", errno, strerror(errno));
		result = EXIT_FAILURE;
	}
	return result;
}
