/*
 * The command line: nginx's flags, and Weir's long options, which stand for a configuration.
 *
 * Decides nothing by doing: it says what is wanted, and main acts. With long options there is no file: the text that they
 * stand for is made here, in nginx's language, and parsed as a file would be, so that `-T` shows exactly what runs.
 */
#ifndef WEIR_CMDLINE_H
#define WEIR_CMDLINE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"

#define CMDLINE_PREFIX "/etc/weir/"
#define CMDLINE_CONFIGURATION "/etc/weir/weir.conf"
#define CMDLINE_ERROR_LOG "/var/log/weir/error.log"
#define CMDLINE_PID "/run/weir.pid"
/* Instead of a path, where the configuration comes from long options. */
#define CMDLINE_TEXT_PATH "<command line>"

struct cmdline {
	struct arena *arena;
	const char *error; /* after -EINVAL, without the program's name */

	bool help, version, build; /* -h (with -v), -v, -V */
	bool test, dump, quiet;    /* -t, -T (with -t), -q */
	const char *prefix;        /* -p, with its '/' at the end ("" stays "") */
	const char *configuration_path;
	const char *configuration_text; /* from long options; NULL: read the file */
	const char *globals;            /* -g; NULL without */
	const char *error_log;          /* -e or the default, full path or "stderr"; until `error_log` takes over */
	const char *signal;             /* -s: "stop", "quit", "reopen" or "reload"; NULL without */
	int eal_argc; /* what stands behind "--", with a program name in front as rte_eal_init() wants it */
	char **eal_argv;
};

/* 0, or -EINVAL with `error`. Everything lives until cmdline_free(), which is due in both cases. */
int cmdline_parse(struct cmdline *cmdline, int argc, char *const argv[]);
void cmdline_free(struct cmdline *cmdline);

/* What -h prints after the version. */
void cmdline_print_usage(FILE *out);

#endif
