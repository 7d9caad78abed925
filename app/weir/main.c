/*
 * weir: order of start and stop. What is done is in control.c, what it is done with in topology.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/exchange/exchange.h"
#include "tls/tls.h"
#include "weir/control.h"
#include "weir/core.h"
#include "weir/daemon.h"
#include "weir/eal.h"
#include "weir/modules.h"
#include "weir/privileges.h"
#include "weir/signal_command.h"
#include "weir/topology.h"
#include "weir/version.h"

static void
warn(void *context, const char *text)
{
	log_error(LOG_WARN, "%s", text);
}

static struct config *
parse(const struct cmdline *cmdline)
{
	struct config_source source = {
		.path = cmdline->configuration_text ? CMDLINE_TEXT_PATH : cmdline->configuration_path,
		.text = bytes_of_string(cmdline->configuration_text),
		.prefix = cmdline->prefix,
		.globals = bytes_of_string(cmdline->globals),
		.unsupported = core_unsupported,
	};
	struct config *config = config_parse(&source, weir_modules());

	config_each_warning(config, warn, NULL);
	if (!config_error(config))
		return config;
	log_error(LOG_EMERG, "%s", config_error(config));
	config_free(config);
	return NULL;
}

static void
write_stdout(void *context, const char *text, size_t len)
{
	fwrite(text, 1, len, stdout);
}

/* A warning: the configuration may be for another machine. */
static void
check_kernel(struct config *config)
{
	char lacking[512];

	if (geteuid() == 0 && topology_may_have_xdp(config) &&
	    xdp_kernel_lacks(xdp_feature_probe, lacking, sizeof(lacking)))
		fprintf(stderr, "weir: [warn] for XDP this kernel lacks: %s\n", lacking);
}

/* `-t` and `-T`, after the configuration was read. */
static int
report_test(const struct cmdline *cmdline, struct config *config)
{
	const char *path = cmdline->configuration_text ? CMDLINE_TEXT_PATH : cmdline->configuration_path;

	if (config)
		check_kernel(config);
	if (!cmdline->quiet && config)
		fprintf(stderr, "weir: the configuration file %s syntax is ok\n", path);
	if (!cmdline->quiet || !config)
		fprintf(stderr, "weir: configuration file %s test %s\n", path, config ? "is successful" : "failed");
	if (config && cmdline->dump)
		config_dump(config, write_stdout, NULL);
	return config ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The default log's directory exists on no fresh machine. */
static const struct log_target *
open_error_log(const struct cmdline *cmdline)
{
	static struct log_target target = { .level = LOG_ERR };
	int error;

	mkdir("/var/log/weir", 0755);
	if (strcmp(cmdline->error_log, "stderr") == 0)
		return NULL;
	error = log_file_get(cmdline->error_log, &target.file);
	if (error < 0) {
		fprintf(stderr, "weir: [alert] could not open error log file: open() \"%s\" failed (%d: %s)\n",
			cmdline->error_log, -error, strerror(-error));
		return NULL;
	}
	log_error_set(&target);
	return &target;
}

static int
serve(const struct cmdline *cmdline, struct config *config, const struct log_target *default_log)
{
	const struct core_settings *core = core_settings(config);
	char pid_path[4096], error[512];
	struct control *control;
	int result;

	snprintf(pid_path, sizeof(pid_path), "%s", (const char *)core->pid.data);
	if (core->daemon && (result = daemon_fork()) < 0) {
		log_error(LOG_EMERG, "fork() failed (%d: %s)", -result, strerror(-result));
		return EXIT_FAILURE;
	}
	control_signals_block();
	privileges_limit(config);
	if (eal_start(config, cmdline->eal_argc, cmdline->eal_argv, error, sizeof(error)) < 0) {
		log_error(LOG_EMERG, "%s", error);
		return EXIT_FAILURE;
	}
	if (log_writer_start() < 0) {
		log_error(LOG_EMERG, "the log writer cannot be started");
		return EXIT_FAILURE;
	}
	control = control_new(cmdline, config, parse, default_log);
	if (control && daemon_pid_write(pid_path) < 0) {
		control_free(control);
		control = NULL;
	}
	if (control) {
		log_error(LOG_NOTICE, "weir/" WEIR_VERSION " serves with %d worker%s", (int)core->worker_processes,
			  core->worker_processes == 1 ? "" : "s");
		log_error_echo(NULL);
		daemon_ready(log_target_is_stderr(core->error_targets ? core->error_targets : default_log));
		control_run(control);
		control_free(control);
		daemon_pid_remove(pid_path);
	}
	log_writer_stop();
	eal_stop();
	return control ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
act(const struct cmdline *cmdline)
{
	struct config *config;
	const struct log_target *default_log = NULL;
	const struct core_settings *core;
	int result;

	if (cmdline->version || cmdline->help)
		print_version(stderr, cmdline->build);
	if (cmdline->help)
		cmdline_print_usage(stderr);
	if ((cmdline->version || cmdline->help) && !cmdline->test)
		return EXIT_SUCCESS;
	if (!cmdline->test)
		default_log = open_error_log(cmdline);
	proxy_variables_define();
	config = parse(cmdline);
	if (cmdline->test) {
		result = report_test(cmdline, config);
		config_free(config);
		return result;
	}
	if (!config)
		return EXIT_FAILURE;
	core = core_settings(config);
	if (cmdline->signal) {
		result = signal_command_send((const char *)core->pid.data, cmdline->signal);
		config_free(config);
		return result < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	if (core->error_targets)
		log_error_set(core->error_targets);
	return serve(cmdline, config, default_log);
}

int
main(int argc, char **argv)
{
	struct cmdline cmdline;
	int result;

	log_error_echo("weir");
	if (tls_memory_prepare() < 0)
		log_error(LOG_WARN, "what OpenSSL frees is not cleansed");
	if (cmdline_parse(&cmdline, argc, argv) < 0) {
		fprintf(stderr, "weir: %s\n", cmdline.error);
		result = EXIT_FAILURE;
	} else {
		result = act(&cmdline);
	}
	cmdline_free(&cmdline);
	return result;
}
