/*
 * weir-replay: a capture through the L4 path, without a NIC.
 */
#include <errno.h>
#include <getopt.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "l4/l4.h"
#include "proxy/exchange/exchange.h"
#include "weir-replay/replay.h"
#include "weir/cmdline.h"
#include "weir/core.h"
#include "weir/modules.h"

struct arguments {
	const char *configuration, *decisions, *in, *out;
	uint16_t burst;
};

/* An error, or a note when the run goes on. */
static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list list;

	fputs("weir-replay: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
}

/* ---- command line ---- */

static void
print_usage(FILE *out)
{
	fputs("Usage: weir-replay -c FILE [--decisions FILE] [--burst N] IN.pcap OUT.pcap\n"
	      "\n"
	      "Runs captured frames through the packet-level services of a configuration and writes what would\n"
	      "have been sent.\n"
	      "\n"
	      "  -c FILE          : configuration; its first interface says addresses and neighbors\n"
	      "  --decisions FILE : write a line of JSON per packet\n"
	      "  --burst N        : frames of one time that are taken together, 1 to 64 (default: 64)\n"
	      "  -h, -v           : this help, the version\n"
	      "\n"
	      "\"-\" as a file is standard input or output.\n",
	      out);
}

static bool
parse_burst(const char *text, uint16_t *burst)
{
	uint64_t number;

	if (!bytes_parse_unsigned(bytes_of_string(text), PORT_BURST, &number) || number == 0) {
		say("invalid value \"%s\" of option \"--burst\", it must be between 1 and %d", text, PORT_BURST);
		return false;
	}
	*burst = (uint16_t)number;
	return true;
}

/* True when there is something to do; else *status is what to leave with. */
static bool
parse_arguments(struct arguments *a, int argc, char **argv, int *status)
{
	static const struct option options[] = { { "decisions", required_argument, NULL, 'd' },
						 { "burst", required_argument, NULL, 'b' },
						 { "help", no_argument, NULL, 'h' },
						 { "version", no_argument, NULL, 'v' },
						 { 0 } };
	int option;

	*a = (struct arguments){ .burst = PORT_BURST };
	*status = EXIT_FAILURE;
	while ((option = getopt_long(argc, argv, "c:hv", options, NULL)) != -1) {
		if (option == 'c') {
			a->configuration = optarg;
		} else if (option == 'd') {
			a->decisions = optarg;
		} else if (option == 'b') {
			if (!parse_burst(optarg, &a->burst))
				return false;
		} else if (option == 'h' || option == 'v') {
			puts("weir-replay version: weir/" WEIR_VERSION);
			if (option == 'h')
				print_usage(stdout);
			*status = EXIT_SUCCESS;
			return false;
		} else {
			return false;
		}
	}
	if (!a->configuration || argc - optind != 2) {
		say("%s", a->configuration ? "two captures are needed, one to read and one to write"
					   : "no configuration: option \"-c FILE\" is needed");
		print_usage(stderr);
		return false;
	}
	a->in = argv[optind];
	a->out = argv[optind + 1];
	return true;
}

static bool
is_same_file(const char *a, const char *b)
{
	struct stat stat_a, stat_b;

	return stat(a, &stat_a) == 0 && stat(b, &stat_b) == 0 && S_ISREG(stat_a.st_mode) &&
	       stat_a.st_dev == stat_b.st_dev && stat_a.st_ino == stat_b.st_ino;
}

/* Opening for writing empties a file: it must not be one that is still to be read or written. */
static bool
files_differ(const struct arguments *a)
{
	const char *const files[] = { a->in, a->configuration, a->out, a->decisions };

	for (size_t written = 2; written < 4; written++)
		for (size_t other = 0; files[written] && other < written; other++)
			if (is_same_file(files[written], files[other]) ||
			    (other == 2 && strcmp(files[written], files[other]) == 0)) {
				say("%s is named twice: it would be overwritten", files[written]);
				return false;
			}
	return true;
}

/* ---- configuration ---- */

/* Of use to a replay: one that parses, has services, and says what is around them. */
static bool
check_configuration(const struct arguments *a, struct config *config)
{
	const struct core_settings *core;

	if (config_error(config)) {
		say("%s", config_error(config));
		return false;
	}
	if (!l4_configured(config)) {
		say("%s has no packet-level services: no server with \"forward\" in \"stream\"", a->configuration);
		return false;
	}
	core = core_settings(config);
	if (!core->interfaces) {
		say("%s has no \"interface\": its addresses and neighbors are needed, as there is no kernel to ask",
		    a->configuration);
		return false;
	}
	if (core->interfaces->next)
		say("only the first interface of %s is there, %s", a->configuration, core->interfaces->port.name);
	if (config_child(config_root(config), CONFIG_HTTP))
		say("the http part of %s is not run", a->configuration);
	return true;
}

static struct config *
parse_configuration(const struct arguments *a)
{
	struct config_source source = {
		.path = a->configuration,
		.prefix = CMDLINE_PREFIX,
		.unsupported = core_unsupported,
	};
	struct config *config;

	proxy_variables_define();
	config = config_parse(&source, weir_modules());
	if (check_configuration(a, config))
		return config;
	config_free(config);
	return NULL;
}

/* ---- the run ---- */

/* Without devices, files or huge pages; the packet buffers take up to 64 MB of the 160. */
static bool
start_dpdk(void)
{
	static char words[][20] = { "weir-replay", "--no-huge",  "--no-shconf",    "--no-pci",    "-m",
				    "160",         "--lcores=0", "--no-telemetry", "--log-level", "*:error" };
	char *argv[RTE_DIM(words) + 1] = { NULL };

	for (size_t i = 0; i < RTE_DIM(words); i++)
		argv[i] = words[i];
	if (rte_eal_init(RTE_DIM(words), argv) >= 0)
		return true;
	say("DPDK cannot be started (%d: %s)", rte_errno, rte_strerror(rte_errno));
	return false;
}

/* All frames. False after a message; what was read until then is in the output all the same. */
static bool
replay_all(struct capture_reader *reader, const struct replay_options *options)
{
	struct replay_options with_start = *options;
	struct capture_frame frame = { 0 };
	struct replay *replay;
	char error[512], read_error[512];
	int more = capture_reader_next(reader, &frame, read_error, sizeof(read_error));

	with_start.start_ns = frame.time_ns;
	if (replay_new(&replay, &with_start, error, sizeof(error)) < 0) {
		say("%s", error);
		return false;
	}
	while (more == 1) {
		if (replay_frame(replay, &frame) < 0) {
			snprintf(read_error, sizeof(read_error), "packet buffers are used up");
			more = -ENOMEM;
		} else {
			more = capture_reader_next(reader, &frame, read_error, sizeof(read_error));
		}
	}
	if (more < 0)
		say("%s", read_error);
	replay_finish(replay);
	replay_report(replay, stderr);
	replay_free(replay);
	return more == 0;
}

static FILE *
open_decisions(const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

	if (!file)
		say("%s: %s", path, strerror(errno));
	return file;
}

static bool
close_decisions(FILE *file, const char *path)
{
	bool failed = ferror(file);

	errno = 0;
	if (fclose(file) == 0 && !failed)
		return true;
	say("%s: not everything could be written: %s", path, strerror(errno ? errno : EIO));
	return false;
}

static bool
write_all(const struct arguments *a, struct config *config, struct capture_reader *reader)
{
	struct replay_options options = { .config = config, .burst_max = a->burst };
	char error[512];
	bool done;

	if (capture_writer_open(&options.writer, a->out, error, sizeof(error)) < 0) {
		say("%s", error);
		return false;
	}
	options.decisions = a->decisions ? open_decisions(a->decisions) : NULL;
	done = (options.decisions || !a->decisions) && replay_all(reader, &options);
	if (options.decisions && !close_decisions(options.decisions, a->decisions))
		done = false;
	if (capture_writer_close(options.writer, error, sizeof(error)) < 0) {
		say("%s", error);
		done = false;
	}
	return done;
}

int
main(int argc, char **argv)
{
	struct capture_reader *reader = NULL;
	struct config *config = NULL;
	struct arguments a;
	char error[512];
	bool done = false;
	int status;

	if (!parse_arguments(&a, argc, argv, &status))
		return status;
	if (capture_reader_open(&reader, a.in, error, sizeof(error)) < 0)
		say("%s", error);
	else
		config = parse_configuration(&a);
	if (config && files_differ(&a) && start_dpdk()) {
		done = write_all(&a, config, reader);
		rte_eal_cleanup();
	}
	config_free(config);
	capture_reader_close(reader);
	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
