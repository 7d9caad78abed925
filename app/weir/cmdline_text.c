/* The configuration that long options stand for, as a person would write it. */
#include <stdlib.h>
#include <string.h>

#include "balance/balance.h"
#include "config/config.h"
#include "weir/cmdline_internal.h"

/* It works with servers that know nothing of it. */
#define FORWARD_DEFAULT "full_nat"

/* An argument as a shell takes it. A comment ends with its line, so control characters are not shown. */
static void
print_argument(FILE *out, const char *argument)
{
	bool quote = !*argument || strspn(argument, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
						    "-_.,:/=@%+") != strlen(argument);

	if (quote)
		fputc('\'', out);
	for (; *argument; argument++)
		if (*argument == '\'')
			fputs("'\\''", out);
		else
			fputc((unsigned char)*argument < ' ' || *argument == 127 ? '?' : *argument, out);
	if (quote)
		fputc('\'', out);
}

static void
print_heading(FILE *out, int argc, char *const argv[])
{
	fputs("# What this command line stands for:\n#     weir", out);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			break;
		fputc(' ', out);
		print_argument(out, argv[i]);
	}
	fputs("\n\n", out);
}

/* nginx's masks: one per worker, the lowest CPU at the right. */
static void
print_workers(FILE *out, const struct cmdline_options *options)
{
	uint16_t highest = 0;

	if (options->cpu_count == 0) {
		fputs("worker_processes 1;\n", out);
		return;
	}
	for (size_t i = 0; i < options->cpu_count; i++)
		if (options->cpus[i] > highest)
			highest = options->cpus[i];
	fprintf(out, "worker_processes %zu;\nworker_cpu_affinity", options->cpu_count);
	for (size_t i = 0; i < options->cpu_count; i++) {
		fputc(' ', out);
		for (int cpu = highest; cpu >= 0; cpu--)
			fputc(cpu == options->cpus[i] ? '1' : '0', out);
	}
	fputs(";\n", out);
}

static void
print_main(FILE *out, const struct cmdline_options *options, const char *error_log)
{
	fputs("daemon off;\n", out);
	print_workers(out, options);
	fputs("error_log ", out);
	config_print_word(out, error_log ? error_log : "stderr");
	fputs(" notice;\n\n", out);
	if (options->interface_count == 0)
		fputs("# No interface: those that carry the addresses of the listeners.\n\n", out);
	for (size_t i = 0; i < options->interface_count; i++) {
		fputs("interface ", out);
		config_print_word(out, options->interfaces[i]);
		fputs(" {\n}\n\n", out);
	}
	fputs("events {\n}\n\n", out);
}

static void
print_backends(FILE *out, const struct cmdline_options *options)
{
	for (size_t i = 0; i < options->backend_count; i++)
		fprintf(out, "\t\tserver %s;\n", options->backends[i].text);
}

static void
print_listens(FILE *out, const struct cmdline_options *options, bool http)
{
	for (size_t i = 0; i < options->listen_count; i++)
		if (cmdline_listen_is_http(&options->listens[i]) == http)
			fprintf(out, "\t\tlisten %s;\n", options->listens[i].text);
}

static void
print_certificates(FILE *out, const struct cmdline_options *options)
{
	for (size_t i = 0; i < options->certificate_count; i++) {
		fputs("\t\tssl_certificate ", out);
		config_print_word(out, options->certificates[i]);
		fputs(";\n\t\tssl_certificate_key ", out);
		config_print_word(out, options->keys[i]);
		fputs(";\n", out);
	}
}

/* Round robin, which is no word in http, is one where Maglev is the default. */
static void
print_stream(FILE *out, const struct cmdline_options *options)
{
	fputs("stream {\n\tupstream backend {\n", out);
	if (options->balance)
		fprintf(out, "\t\t%s;\n", *options->balance ? options->balance : balance_methods[0]->name);
	print_backends(out, options);
	fputs("\t}\n\n\tserver {\n", out);
	print_listens(out, options, false);
	fprintf(out, "\t\tproxy_pass backend;\n\t\tforward %s;\n\t}\n}\n",
		options->forward ? options->forward : FORWARD_DEFAULT);
}

static void
print_http(FILE *out, const struct cmdline_options *options)
{
	fputs("http {\n\taccess_log ", out);
	config_print_word(out, options->access_log ? options->access_log : "off");
	fputs(";\n\n\tupstream backend {\n", out);
	if (options->balance && *options->balance)
		fprintf(out, "\t\t%s;\n", options->balance);
	print_backends(out, options);
	fputs("\t}\n\n\tserver {\n", out);
	print_listens(out, options, true);
	print_certificates(out, options);
	fputs("\n\t\tlocation / {\n\t\t\tproxy_pass http://backend;\n\t\t}\n\t}\n}\n", out);
}

const char *
cmdline_text(struct cmdline *cmdline, const struct cmdline_options *options, const char *error_log, int argc,
	     char *const argv[])
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out) {
		fputs("weir: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	print_heading(out, argc, argv);
	print_main(out, options, error_log);
	if (cmdline_has_listen(options, true))
		print_http(out, options);
	if (cmdline_has_listen(options, true) && cmdline_has_listen(options, false))
		fputc('\n', out);
	if (cmdline_has_listen(options, false))
		print_stream(out, options);
	fclose(out);
	arena_on_free(cmdline->arena, free, text);
	return text;
}
