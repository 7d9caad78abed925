#include "weir/cmdline.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "weir/cmdline_internal.h"

int
cmdline_fail(struct cmdline *cmdline, const char *format, ...)
{
	char text[4096];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	cmdline->error = arena_printf(cmdline->arena, "%s", text);
	return -EINVAL;
}

/* Where the reading of arguments stands. */
struct reader {
	int argc, at; /* argv[at] is being read */
	char *const *argv;
	const char *rest; /* of a group of short options */
	struct cmdline_options *options;
	const char *configuration, *error_log;
};

/* The value of a short option: the rest of its argument, else the next one; NULL when there is none. */
static const char *
short_value(struct reader *reader)
{
	const char *value = *reader->rest ? reader->rest : NULL;

	if (!value && reader->at + 1 < reader->argc)
		value = reader->argv[++reader->at];
	reader->rest = "";
	return value;
}

static int
signal_option(struct cmdline *cmdline, const char *name)
{
	static const char *const names[] = { "stop", "quit", "reopen", "reload" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0) {
			cmdline->signal = names[i];
			return 0;
		}
	return cmdline_fail(cmdline, "invalid option: \"-s %s\"", name);
}

static int
short_option_with_value(struct cmdline *cmdline, struct reader *reader, char option)
{
	const char *value = short_value(reader);

	if (!value)
		return cmdline_fail(cmdline, "option \"-%c\" requires %s", option,
				    option == 'p'                    ? "directory name"
				    : option == 'c' || option == 'e' ? "file name"
								     : "parameter");
	switch (option) {
	case 'p':
		cmdline->prefix = value;
		return 0;
	case 'c':
		reader->configuration = value;
		return 0;
	case 'e':
		reader->error_log = value;
		return 0;
	case 'g':
		cmdline->globals = value;
		return 0;
	default:
		return signal_option(cmdline, value);
	}
}

static int
short_option(struct cmdline *cmdline, struct reader *reader, char option)
{
	switch (option) {
	case '?':
	case 'h':
		cmdline->help = cmdline->version = true;
		return 0;
	case 'v':
		cmdline->version = true;
		return 0;
	case 'V':
		cmdline->version = cmdline->build = true;
		return 0;
	case 't':
		cmdline->test = true;
		return 0;
	case 'T':
		cmdline->test = cmdline->dump = true;
		return 0;
	case 'q':
		cmdline->quiet = true;
		return 0;
	case 'p':
	case 'c':
	case 'e':
	case 'g':
	case 's':
		return short_option_with_value(cmdline, reader, option);
	default:
		return cmdline_fail(cmdline, "invalid option: \"%c\"", option);
	}
}

/* "--name", "--name=value" or "--name value"; `argument` is behind the dashes. */
static int
long_option(struct cmdline *cmdline, struct reader *reader, const char *argument)
{
	const char *equals = strchr(argument, '=');
	size_t name_len = equals ? (size_t)(equals - argument) : strlen(argument);
	const char *name = arena_printf(cmdline->arena, "--%.*s", (int)name_len, argument);
	const char *value = equals ? equals + 1 : NULL;

	if (strcmp(name, "--help") == 0 || strcmp(name, "--version") == 0) {
		if (value)
			return cmdline_fail(cmdline, "option \"%s\" takes no value", name);
		return short_option(cmdline, reader, name[2]);
	}
	if (!cmdline_option_known(name))
		return cmdline_fail(cmdline, "invalid option: \"%s\"", name);
	if (!value && reader->at + 1 < reader->argc && strncmp(reader->argv[reader->at + 1], "--", 2) != 0)
		value = reader->argv[++reader->at];
	return cmdline_option(cmdline, reader->options, name, value);
}

static void
eal_arguments(struct cmdline *cmdline, struct reader *reader)
{
	for (reader->at++; reader->at < reader->argc; reader->at++)
		cmdline->eal_argv[cmdline->eal_argc++] = arena_printf(cmdline->arena, "%s", reader->argv[reader->at]);
}

static int
read_arguments(struct cmdline *cmdline, struct reader *reader)
{
	for (reader->at = 1; reader->at < reader->argc; reader->at++) {
		const char *argument = reader->argv[reader->at];

		if (argument[0] != '-')
			return cmdline_fail(cmdline, "invalid option: \"%s\"", argument);
		if (strcmp(argument, "--") == 0) {
			eal_arguments(cmdline, reader);
			return 0;
		}
		if (argument[1] == '-') {
			if (long_option(cmdline, reader, argument + 2) < 0)
				return -EINVAL;
			continue;
		}
		reader->rest = argument + 1;
		while (*reader->rest)
			if (short_option(cmdline, reader, *reader->rest++) < 0)
				return -EINVAL;
	}
	return 0;
}

static const char *
full_path(struct cmdline *cmdline, const char *path)
{
	return path[0] == '/' ? path : arena_printf(cmdline->arena, "%s%s", cmdline->prefix, path);
}

/* As nginx of Debian has it: what is given goes by the prefix, the defaults are absolute. */
static void
settle_paths(struct cmdline *cmdline, const struct reader *reader)
{
	size_t len = strlen(cmdline->prefix);

	if (len > 0 && cmdline->prefix[len - 1] != '/')
		cmdline->prefix = arena_printf(cmdline->arena, "%s/", cmdline->prefix);
	if (reader->configuration)
		cmdline->configuration_path = full_path(cmdline, reader->configuration);
	if (reader->error_log)
		cmdline->error_log =
			strcmp(reader->error_log, "stderr") == 0 ? "stderr" : full_path(cmdline, reader->error_log);
}

static int
settle_options(struct cmdline *cmdline, const struct reader *reader)
{
	if (!reader->options->first)
		return 0;
	if (reader->configuration)
		return cmdline_fail(cmdline,
				    "option \"-c\" and option \"%s\" exclude each other: either a file or options "
				    "say what to do",
				    reader->options->first);
	if (cmdline_options_check(cmdline, reader->options) < 0)
		return -EINVAL;
	cmdline->configuration_text = cmdline_text(
		cmdline, reader->options, reader->error_log ? cmdline->error_log : NULL, reader->argc, reader->argv);
	cmdline->configuration_path = CMDLINE_TEXT_PATH;
	if (!reader->error_log)
		cmdline->error_log = "stderr";
	return 0;
}

int
cmdline_parse(struct cmdline *cmdline, int argc, char *const argv[])
{
	struct reader reader = { .argc = argc, .argv = argv };
	int words = argc > 0 ? argc : 1;

	*cmdline = (struct cmdline){ .arena = arena_new(),
				     .prefix = CMDLINE_PREFIX,
				     .configuration_path = CMDLINE_CONFIGURATION,
				     .error_log = CMDLINE_ERROR_LOG };
	reader.options = arena_alloc(cmdline->arena, sizeof(*reader.options));
	cmdline->eal_argv = arena_alloc(cmdline->arena, ((size_t)words + 1) * sizeof(*cmdline->eal_argv));
	cmdline->eal_argv[cmdline->eal_argc++] = arena_printf(cmdline->arena, "weir");
	if (read_arguments(cmdline, &reader) < 0)
		return -EINVAL;
	settle_paths(cmdline, &reader);
	return settle_options(cmdline, &reader);
}

void
cmdline_free(struct cmdline *cmdline)
{
	arena_free(cmdline->arena);
	cmdline->arena = NULL;
}

void
cmdline_print_usage(FILE *out)
{
	fputs("Usage: weir [-?hvVtTq] [-s signal] [-p prefix]\n"
	      "            [-e filename] [-c filename] [-g directives] [-- EAL arguments]\n"
	      "   or: weir --listen ADDR:PORT... --backend ADDR:PORT...\n"
	      "            [--balance METHOD] [--forward MODE] [--interface NAME]... [--lcores LIST]\n"
	      "            [--certificate FILE --certificate-key FILE]...\n"
	      "            [--access-log PATH] [-tTqgpe as above] [-- EAL arguments]\n"
	      "\n"
	      "Options:\n"
	      "  -?,-h         : this help\n"
	      "  -v            : show version and exit\n"
	      "  -V            : show version and configure options then exit\n"
	      "  -t            : test configuration and exit\n"
	      "  -T            : test configuration, dump it and exit\n"
	      "  -q            : suppress non-error messages during configuration testing\n"
	      "  -s signal     : send signal to a master process: stop, quit, reopen, reload\n"
	      "  -p prefix     : set prefix path (default: " CMDLINE_PREFIX ")\n"
	      "  -e filename   : set error log file (default: " CMDLINE_ERROR_LOG ")\n"
	      "  -c filename   : set configuration file (default: " CMDLINE_CONFIGURATION ")\n"
	      "  -g directives : set global directives out of configuration file\n"
	      "\n"
	      "Instead of a file (-T prints the configuration that these stand for):\n"
	      "  --listen [http://][ADDR:]PORT : where clients connect; requests are balanced\n"
	      "  --listen https://[ADDR:]PORT  : the same with TLS\n"
	      "  --certificate FILE            : for https: PEM, with its chain; may be repeated\n"
	      "  --certificate-key FILE        : for https: the key of each certificate\n"
	      "  --listen tcp://ADDR:PORT      : the same, packet by packet; udp:// as well\n"
	      "  --backend ADDR[:PORT][,weight=N][,backup][,down][,max_fails=N][,fail_timeout=TIME]\n"
	      "                                : a server that answers them\n"
	      "  --balance METHOD              : round_robin (http's default), least_conn, ip_hash, random,\n"
	      "                                  maglev (of packets), \"hash KEY [consistent]\"\n"
	      "  --forward MODE                : how packets reach a server: full_nat (default), nat, dsr,\n"
	      "                                  ipip, \"gue [port=N]\"\n"
	      "  --interface NAME|PCI|vdev:ARGS: take packets from here (default: where ADDR is)\n"
	      "  --lcores LIST                 : a worker on each of these CPUs: 1,3 or 0-3\n"
	      "  --access-log PATH             : log requests (default: off)\n"
	      "\n",
	      out);
}
