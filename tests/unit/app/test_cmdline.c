#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "balance/balance.h"
#include "config/config.h"
#include "weir/cmdline.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WORDS_MAX 16

/* Arguments after the program's name, ended by NULL. */
typedef const char *const arguments[WORDS_MAX];

static int
parse(struct cmdline *cmdline, arguments words)
{
	char *argv[WORDS_MAX + 2] = { NULL };
	char name[] = "weir";
	int argc = 1;

	argv[0] = name;
	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	return cmdline_parse(cmdline, argc, argv);
}

/* Texts of nginx 1.22.1 for the same arguments, the program's name taken off. */
static void
wrong_flags_get_the_words_of_nginx(void **state)
{
	static const struct {
		arguments words;
		const char *error;
	} cases[] = {
		{ { "-x" }, "invalid option: \"x\"" },
		{ { "x" }, "invalid option: \"x\"" },
		{ { "" }, "invalid option: \"\"" },
		{ { "-v", "x" }, "invalid option: \"x\"" },
		{ { "-vx" }, "invalid option: \"x\"" },
		{ { "-h", "-x" }, "invalid option: \"x\"" },
		{ { "-t-" }, "invalid option: \"-\"" },
		{ { "-c" }, "option \"-c\" requires file name" },
		{ { "-tc" }, "option \"-c\" requires file name" },
		{ { "-p" }, "option \"-p\" requires directory name" },
		{ { "-e" }, "option \"-e\" requires file name" },
		{ { "-g" }, "option \"-g\" requires parameter" },
		{ { "-s" }, "option \"-s\" requires parameter" },
		{ { "-s", "foo" }, "invalid option: \"-s foo\"" },
		{ { "-sfoo", "-t" }, "invalid option: \"-s foo\"" },
		{ { "-s", "" }, "invalid option: \"-s \"" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cmdline cmdline;

		assert_int_equal(parse(&cmdline, cases[i].words), -EINVAL);
		assert_string_equal(cmdline.error, cases[i].error);
		cmdline_free(&cmdline);
	}
}

static void
flags_may_stand_together_and_with_their_values(void **state)
{
	struct cmdline cmdline;

	assert_int_equal(parse(&cmdline, (arguments){ "-tq", "-cFILE", "-p", "/p", "-gdaemon off;", "-eLOG" }), 0);
	assert_true(cmdline.test && cmdline.quiet && !cmdline.dump && !cmdline.version);
	assert_string_equal(cmdline.configuration_path, "/p/FILE");
	assert_string_equal(cmdline.prefix, "/p/");
	assert_string_equal(cmdline.globals, "daemon off;");
	assert_string_equal(cmdline.error_log, "/p/LOG");
	assert_null(cmdline.configuration_text);
	cmdline_free(&cmdline);

	assert_int_equal(parse(&cmdline, (arguments){ "-tpq", "-cok.conf", "-T", "-sreload" }), 0);
	assert_string_equal(cmdline.configuration_path, "q/ok.conf");
	assert_true(cmdline.test && cmdline.dump);
	assert_string_equal(cmdline.signal, "reload");
	cmdline_free(&cmdline);

	assert_int_equal(parse(&cmdline, (arguments){ "-c", "a", "-c", "b", "-p", "" }), 0);
	assert_string_equal(cmdline.configuration_path, "b");
	cmdline_free(&cmdline);
}

static void
nothing_given_means_the_defaults(void **state)
{
	struct cmdline cmdline;

	assert_int_equal(parse(&cmdline, (arguments){ NULL }), 0);
	assert_string_equal(cmdline.prefix, "/etc/weir/");
	assert_string_equal(cmdline.configuration_path, "/etc/weir/weir.conf");
	assert_string_equal(cmdline.error_log, "/var/log/weir/error.log");
	assert_null(cmdline.globals);
	assert_null(cmdline.signal);
	assert_int_equal(cmdline.eal_argc, 1);
	cmdline_free(&cmdline);

	/* As in nginx, the default file does not follow the prefix. */
	assert_int_equal(parse(&cmdline, (arguments){ "-p", "/srv", "-e", "stderr", "-" }), 0);
	assert_string_equal(cmdline.configuration_path, "/etc/weir/weir.conf");
	assert_string_equal(cmdline.error_log, "stderr");
	cmdline_free(&cmdline);
}

static void
help_and_version_have_long_names(void **state)
{
	struct cmdline cmdline;

	assert_int_equal(parse(&cmdline, (arguments){ "--help" }), 0);
	assert_true(cmdline.help && cmdline.version && !cmdline.build);
	cmdline_free(&cmdline);
	assert_int_equal(parse(&cmdline, (arguments){ "--version" }), 0);
	assert_true(!cmdline.help && cmdline.version && !cmdline.build);
	cmdline_free(&cmdline);
	assert_int_equal(parse(&cmdline, (arguments){ "-V?" }), 0);
	assert_true(cmdline.help && cmdline.version && cmdline.build);
	cmdline_free(&cmdline);
}

static void
usage_names_every_option_within_a_terminal(void **state)
{
	static const char *const options[] = { "-s ",
					       "-p ",
					       "-e ",
					       "-c ",
					       "-g ",
					       "--listen",
					       "--backend",
					       "--balance",
					       "--interface",
					       "--lcores",
					       "--access-log",
					       "--certificate ",
					       "--certificate-key" };
	char *text = NULL, *line, *state_of_strtok;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cmdline_print_usage(out);
	fclose(out);
	assert_int_equal(strncmp(text, "Usage: weir [-?hvVtTq] [-s signal] [-p prefix]\n", 47), 0);
	for (size_t i = 0; i < COUNT(options); i++)
		assert_non_null(strstr(text, options[i]));
	for (const struct balance_method *const *m = balance_methods; *m; m++)
		assert_non_null(strstr(text, (*m)->name));
	for (line = strtok_r(text, "\n", &state_of_strtok); line; line = strtok_r(NULL, "\n", &state_of_strtok))
		assert_true(strlen(line) <= 95);
	free(text);
}

static void
arguments_behind_two_dashes_are_for_eal(void **state)
{
	struct cmdline cmdline;

	assert_int_equal(parse(&cmdline, (arguments){ "-c", "/f", "--", "--no-huge", "-m", "512", "--" }), 0);
	assert_int_equal(cmdline.eal_argc, 5);
	assert_string_equal(cmdline.eal_argv[0], "weir");
	assert_string_equal(cmdline.eal_argv[1], "--no-huge");
	assert_string_equal(cmdline.eal_argv[4], "--");
	assert_null(cmdline.eal_argv[5]);
	assert_null(cmdline.configuration_text);
	cmdline_free(&cmdline);
}

static void
wrong_long_options_say_which_word_and_why(void **state)
{
#define BACKEND "--backend", "10.0.0.1:80"
	static const struct {
		arguments words;
		const char *error;
	} cases[] = {
		{ { "--foo" }, "invalid option: \"--foo\"" },
		{ { "--foo=1" }, "invalid option: \"--foo\"" },
		{ { "--help=1" }, "option \"--help\" takes no value" },
		{ { "--listen" }, "option \"--listen\" requires an address and a port" },
		{ { "--listen", BACKEND }, "option \"--listen\" requires an address and a port" },
		{ { "--listen", "80" }, "option \"--listen\" needs \"--backend ADDR:PORT\" beside it" },
		{ { BACKEND }, "option \"--backend\" needs \"--listen ADDR:PORT\" beside it" },
		{ { "--lcores", "1" }, "option \"--lcores\" needs \"--listen ADDR:PORT\" beside it" },
		{ { "-c", "f", "--listen", "80", BACKEND },
		  "option \"-c\" and option \"--listen\" exclude each other: either a file or options say what to do" },
		{ { "--listen", "https://0.0.0.0:443", BACKEND },
		  "option \"--listen https://\" needs \"--certificate FILE\" and \"--certificate-key FILE\" beside "
		  "it" },
		{ { "--listen", "80", BACKEND, "--certificate", "a" },
		  "option \"--certificate\" needs \"--listen https://ADDR:PORT\" beside it" },
		{ { "--listen", "https://443", BACKEND, "--certificate", "a" },
		  "each \"--certificate\" needs a \"--certificate-key\" of its own" },
		{ { "--listen", "tcp://0.0.0.0:443" },
		  "invalid value \"tcp://0.0.0.0:443\" in option \"--listen\": a packet-level service needs an address "
		  "of "
		  "its own" },
		{ { "--listen", "udp://:53" },
		  "invalid value \"udp://:53\" in option \"--listen\": it must be ADDR:PORT or [IPV6]:PORT, with a "
		  "numeric "
		  "address" },
		{ { "--listen", "tcp://10.0.1.1" },
		  "invalid value \"tcp://10.0.1.1\" in option \"--listen\": it must be ADDR:PORT or [IPV6]:PORT, with "
		  "a "
		  "numeric address" },
		{ { "--listen", "tcp://10.0.1.1:80", "--listen", "10.0.1.1:80" },
		  "invalid value \"10.0.1.1:80\" in option \"--listen\": this address and port are given twice" },
		{ { "--listen", "udp://10.0.1.1:80", "--listen", "udp://10.0.1.1:80" },
		  "invalid value \"udp://10.0.1.1:80\" in option \"--listen\": this address and port are given twice" },
		{ { "--listen", "tcp://10.0.1.1:80", "--backend", "10.0.0.1,weight=2" },
		  "option \"--backend\": with \"--listen tcp://\" or \"udp://\" a server needs a port: \"10.0.0.1 "
		  "weight=2\"" },
		{ { "--listen", "tcp://10.0.1.1:80", BACKEND, "--balance", "hash $uri" },
		  "option \"--balance\": with \"--listen tcp://\" or \"udp://\" the key can only be $remote_addr" },
		{ { "--listen", "tcp://10.0.1.1:80", BACKEND, "--access-log", "a" },
		  "option \"--access-log\" needs \"--listen http://ADDR:PORT\" beside it" },
		{ { "--listen", "80", BACKEND, "--forward", "dsr" },
		  "option \"--forward\" needs \"--listen tcp://ADDR:PORT\" or \"udp://\" beside it" },
		{ { "--forward", "l2" },
		  "invalid value \"l2\" in option \"--forward\": it must be one of full_nat, nat, dsr, ipip, gue" },
		{ { "--forward", "nat; a" },
		  "invalid value \"nat; a\" in option \"--forward\": it must be one of full_nat, nat, dsr, ipip, gue" },
		{ { "--forward", "gue port=1;" },
		  "invalid value \"gue port=1;\" in option \"--forward\": a word here is plain text" },
		{ { "--forward", "nat", "--forward", "nat" }, "option \"--forward\" is given twice" },
		{ { "--listen", "ftp://:21" },
		  "invalid value \"ftp://:21\" in option \"--listen\": unknown scheme \"ftp\", it must be http, "
		  "https, tcp or udp" },
		{ { "--listen", "0" },
		  "invalid value \"0\" in option \"--listen\": a port is a number from 1 to 65535" },
		{ { "--listen", ":65536" },
		  "invalid value \":65536\" in option \"--listen\": a port is a number from 1 to 65535" },
		{ { "--listen", "80/a" }, "invalid value \"80/a\" in option \"--listen\": a listener has no path" },
		{ { "--listen", "localhost:80" },
		  "invalid value \"localhost:80\" in option \"--listen\": it must be PORT, ADDR, ADDR:PORT or "
		  "[IPV6]:PORT, "
		  "with a numeric address" },
		{ { "--listen", "" },
		  "invalid value \"\" in option \"--listen\": it must be PORT, ADDR, ADDR:PORT or "
		  "[IPV6]:PORT, with a numeric address" },
		{ { "--listen", "80", "--listen", "0.0.0.0:80" },
		  "invalid value \"0.0.0.0:80\" in option \"--listen\": this address and port are given twice" },
		{ { "--backend", "http://10.0.0.1" },
		  "invalid value \"http://10.0.0.1\" in option \"--backend\": it must "
		  "begin with ADDR:PORT, without scheme or path" },
		{ { "--backend", "8080" },
		  "invalid value \"8080\" in option \"--backend\": it must begin with ADDR:PORT, and "
		  "this is neither an address nor a name" },
		{ { "--backend", "10.0.0.256:80" },
		  "invalid value \"10.0.0.256:80\" in option \"--backend\": it must begin "
		  "with ADDR:PORT, and this is neither an address nor a name" },
		{ { "--backend", "::1:80" },
		  "invalid value \"::1:80\" in option \"--backend\": it must begin with ADDR:PORT" },
		{ { "--backend", "fe80::1" },
		  "invalid value \"fe80::1\" in option \"--backend\": an IPv6 address stands in "
		  "brackets: [::1]:80" },
		{ { "--backend", "[::1" },
		  "invalid value \"[::1\" in option \"--backend\": it must begin with ADDR:PORT, and "
		  "\"[...]\" with an IPv6 address" },
		{ { "--backend", "a:0" },
		  "invalid value \"a:0\" in option \"--backend\": a port is a number from 1 to 65535" },
		{ { "--backend", "a b" },
		  "invalid value \"a b\" in option \"--backend\": it must begin with ADDR:PORT, and "
		  "this is neither an address nor a name" },
		{ { "--backend", "a;b" },
		  "invalid value \"a;b\" in option \"--backend\": it must begin with ADDR:PORT, and "
		  "this is neither an address nor a name" },
		{ { "--backend", "a,weight=0" },
		  "invalid value \"a,weight=0\" in option \"--backend\": weight is a number from "
		  "1 up (\"down\" takes a server out)" },
		{ { "--backend", "a,max_fails=x" },
		  "invalid value \"a,max_fails=x\" in option \"--backend\": max_fails is a number from 0 up" },
		{ { "--backend", "a,fail_timeout=x" },
		  "invalid value \"a,fail_timeout=x\" in option \"--backend\": fail_timeout is a time such as 10s" },
		{ { "--backend", "a,down;" },
		  "invalid value \"a,down;\" in option \"--backend\": after the address it takes "
		  "weight=N, max_fails=N, fail_timeout=TIME, backup and down" },
		{ { "--backend", "a," },
		  "invalid value \"a,\" in option \"--backend\": after the address it takes weight=N, "
		  "max_fails=N, fail_timeout=TIME, backup and down" },
		{ { "--listen", "80", "--backend", "a,backup" },
		  "option \"--backend\": at least one server must not be a backup" },
		{ { "--listen", "80", BACKEND, "--backend", "a,backup", "--balance", "ip_hash" },
		  "option \"--backend\": \"backup\" cannot be used with \"--balance ip_hash\"" },
		{ { "--balance", "hash" },
		  "invalid value \"hash\" in option \"--balance\": the method needs a key, such as $request_uri" },
		{ { "--balance", "least_conn two" },
		  "invalid value \"least_conn two\" in option \"--balance\": the method takes no such word" },
		{ { "--balance", "hash a;b" },
		  "invalid value \"hash a;b\" in option \"--balance\": a word here is plain text "
		  "and variables, without quotes, braces and semicolons" },
		{ { "--balance", "ip_hash", "--balance", "ip_hash" }, "option \"--balance\" is given twice" },
		{ { "--lcores", "" },
		  "invalid value \"\" in option \"--lcores\": it must be a list of CPU numbers and "
		  "ranges, such as 1,3 or 0-3" },
		{ { "--lcores", "1,,2" },
		  "invalid value \"1,,2\" in option \"--lcores\": it must be a list of CPU numbers and "
		  "ranges, such as 1,3 or 0-3" },
		{ { "--lcores", "0@1" },
		  "invalid value \"0@1\" in option \"--lcores\": it must be a list of CPU numbers and "
		  "ranges, such as 1,3 or 0-3" },
		{ { "--lcores", "1024" },
		  "invalid value \"1024\" in option \"--lcores\": it must be a list of CPU numbers and "
		  "ranges, such as 1,3 or 0-3" },
		{ { "--lcores", "3-1" },
		  "invalid value \"3-1\" in option \"--lcores\": a range goes from the smaller number to the larger" },
		{ { "--lcores", "0-3,2" }, "invalid value \"0-3,2\" in option \"--lcores\": a CPU is given twice" },
		{ { "--lcores", "1", "--lcores", "2" }, "option \"--lcores\" is given twice" },
		{ { "--interface=" },
		  "invalid value \"\" in option \"--interface\": it must be an interface, a PCI address or "
		  "vdev:ARGUMENTS" },
		{ { "--interface", "lo", "--interface=lo" },
		  "invalid value \"lo\" in option \"--interface\": this interface is given twice" },
		{ { "--access-log=" }, "invalid value \"\" in option \"--access-log\": it must be a file name or off" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cmdline cmdline;

		assert_int_equal(parse(&cmdline, cases[i].words), -EINVAL);
		assert_string_equal(cmdline.error, cases[i].error);
		cmdline_free(&cmdline);
	}
}

static void
an_unknown_method_names_the_known_ones(void **state)
{
	struct cmdline cmdline;

	assert_int_equal(parse(&cmdline, (arguments){ "--balance", "fastest" }), -EINVAL);
	assert_int_equal(strncmp(cmdline.error,
				 "invalid value \"fastest\" in option \"--balance\": it must be one of \"round_robin\"",
				 78),
			 0);
	for (const struct balance_method *const *m = balance_methods; *m; m++)
		assert_non_null(strstr(cmdline.error, (*m)->name));
	cmdline_free(&cmdline);
}

static void
long_options_become_a_configuration(void **state)
{
	struct cmdline cmdline;

	assert_int_equal(
		parse(&cmdline, (arguments){ "-T", "--interface", "eth0", "--interface=0000:01:00.0", "--listen=8080",
					     "--listen", "http://[2001:DB8::1]/", "--backend",
					     "10.0.0.1:8000,weight=3,max_fails=2", "--backend=app-1.example:80,down",
					     "--balance", "hash $request_uri  consistent", "--lcores", "1,3" }),
		0);
	assert_string_equal(cmdline.configuration_path, "<command line>");
	assert_string_equal(cmdline.error_log, "stderr");
	assert_string_equal(cmdline.configuration_text,
			    "# What this command line stands for:\n"
			    "#     weir -T --interface eth0 --interface=0000:01:00.0 --listen=8080 --listen "
			    "'http://[2001:DB8::1]/' "
			    "--backend 10.0.0.1:8000,weight=3,max_fails=2 --backend=app-1.example:80,down "
			    "--balance 'hash $request_uri  consistent' --lcores 1,3\n"
			    "\n"
			    "daemon off;\n"
			    "worker_processes 2;\n"
			    "worker_cpu_affinity 0010 1000;\n"
			    "error_log stderr notice;\n"
			    "\n"
			    "interface eth0 {\n"
			    "}\n"
			    "\n"
			    "interface 0000:01:00.0 {\n"
			    "}\n"
			    "\n"
			    "events {\n"
			    "}\n"
			    "\n"
			    "http {\n"
			    "\taccess_log off;\n"
			    "\n"
			    "\tupstream backend {\n"
			    "\t\thash $request_uri consistent;\n"
			    "\t\tserver 10.0.0.1:8000 weight=3 max_fails=2;\n"
			    "\t\tserver app-1.example:80 down;\n"
			    "\t}\n"
			    "\n"
			    "\tserver {\n"
			    "\t\tlisten 8080;\n"
			    "\t\tlisten [2001:db8::1]:80;\n"
			    "\n"
			    "\t\tlocation / {\n"
			    "\t\t\tproxy_pass http://backend;\n"
			    "\t\t}\n"
			    "\t}\n"
			    "}\n");
	cmdline_free(&cmdline);
}

static void
https_brings_its_certificates(void **state)
{
	struct cmdline cmdline;

	assert_int_equal(parse(&cmdline, (arguments){ "--listen", "https://10.0.1.1", "--listen", "80", BACKEND,
						      "--certificate", "a b.crt", "--certificate-key=a.key",
						      "--certificate", "c.crt", "--certificate-key", "c.key" }),
			 0);
	assert_non_null(strstr(cmdline.configuration_text,
			       "\tserver {\n\t\tlisten 10.0.1.1:443 ssl;\n\t\tlisten 80;\n"
			       "\t\tssl_certificate \"a b.crt\";\n\t\tssl_certificate_key a.key;\n"
			       "\t\tssl_certificate c.crt;\n\t\tssl_certificate_key c.key;\n\n\t\tlocation / {"));
	cmdline_free(&cmdline);
}

static void
the_shortest_command_line_is_enough(void **state)
{
	static const struct {
		const char *listen, *directive;
	} cases[] = {
		{ "80", "\t\tlisten 80;\n" },
		{ ":80", "\t\tlisten 80;\n" },
		{ "*:80", "\t\tlisten 80;\n" },
		{ "http://:8080", "\t\tlisten 8080;\n" },
		{ "127.0.0.1", "\t\tlisten 127.0.0.1:80;\n" },
		{ "http://127.0.0.1:8080", "\t\tlisten 127.0.0.1:8080;\n" },
		{ "[::]:80", "\t\tlisten [::]:80;\n" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cmdline cmdline;

		assert_int_equal(parse(&cmdline, (arguments){ "--listen", cases[i].listen, "--backend",
							      "[::1]:81,backup", "--backend", "10.0.0.2", "--balance",
							      "round_robin", "--", "--no-huge" }),
				 0);
		assert_non_null(strstr(cmdline.configuration_text, cases[i].directive));
		assert_non_null(strstr(cmdline.configuration_text, "worker_processes 1;\nerror_log stderr notice;\n"));
		assert_non_null(strstr(cmdline.configuration_text,
				       "backend {\n\t\tserver [::1]:81 backup;\n\t\tserver 10.0.0.2;\n"));
		assert_null(strstr(cmdline.configuration_text, "no-huge"));
		assert_int_equal(cmdline.eal_argc, 2);
		cmdline_free(&cmdline);
	}
}

#define STREAM_END "\t\tproxy_pass backend;\n\t\tforward "

static void
packet_level_listeners_become_a_stream(void **state)
{
	static const struct {
		arguments words;
		const char *text;
	} cases[] = {
		{ { "--listen", "tcp://10.0.1.1:80", BACKEND },
		  "\nstream {\n\tupstream backend {\n\t\tserver 10.0.0.1:80;\n\t}\n\n\tserver {\n\t\tlisten "
		  "10.0.1.1:80;\n" STREAM_END "full_nat;\n\t}\n}\n" },
		{ { "--listen", "udp://[2001:DB8::1]:53/", "--listen", "tcp://[2001:db8::1]:53", BACKEND, "--balance",
		    "round_robin", "--forward", "gue port=6000" },
		  "\nstream {\n\tupstream backend {\n\t\tround_robin;\n\t\tserver 10.0.0.1:80;\n\t}\n\n\tserver "
		  "{\n\t\tlisten [2001:db8::1]:53 udp;\n\t\tlisten [2001:db8::1]:53;\n" STREAM_END
		  "gue port=6000;\n\t}\n}\n" },
		{ { "--listen", "8080", "--listen", "tcp://10.0.1.1:80", BACKEND, "--balance", "hash $remote_addr" },
		  "\t\t\tproxy_pass http://backend;\n\t\t}\n\t}\n}\n\nstream {\n\tupstream backend {\n\t\thash "
		  "$remote_addr;\n\t\tserver 10.0.0.1:80;\n\t}\n\n\tserver {\n\t\tlisten 10.0.1.1:80;\n" STREAM_END
		  "full_nat;\n\t}\n}\n" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cmdline cmdline;
		size_t len = strlen(cases[i].text), text_len;

		if (parse(&cmdline, cases[i].words) < 0)
			fail_msg("%s", cmdline.error);
		text_len = strlen(cmdline.configuration_text);
		assert_true(text_len > len);
		assert_string_equal(cmdline.configuration_text + text_len - len, cases[i].text);
		assert_true(!strstr(cmdline.configuration_text, "http {") == (i < 2));
		cmdline_free(&cmdline);
	}
}

static void
every_method_can_be_named(void **state)
{
	for (const struct balance_method *const *m = balance_methods; *m; m++) {
		struct cmdline cmdline;
		char word[128], directive[160];

		snprintf(word, sizeof(word), "%s%s", (*m)->name, (*m)->properties & BALANCE_NEEDS_KEY ? " $host" : "");
		snprintf(directive, sizeof(directive), "\n\t\t%s;\n", word);
		assert_int_equal(parse(&cmdline, (arguments){ "--listen", "80", "--backend", "a", "--balance", word }),
				 0);
		if (m == balance_methods)
			assert_non_null(strstr(cmdline.configuration_text, "upstream backend {\n\t\tserver a;\n"));
		else
			assert_non_null(strstr(cmdline.configuration_text, directive));
		cmdline_free(&cmdline);
	}
}

/* Keeps the words of the directives it is called for, so that a text can be read back. */
static const char *seen[3];

static int
see(struct config_directive_call *call)
{
	seen[call->directive->offset] = (const char *)call->words[1].data;
	return 0;
}

static const struct config_directive seeing[] = {
	{ "daemon", CONFIG_MAIN, 1, 1, 0, 0, see, 2 },
	{ "worker_processes", CONFIG_MAIN, 1, 1, 0, 0, see, 2 },
	{ "error_log", CONFIG_MAIN, 2, 2, 0, 0, see, 0 },
	{ "interface", CONFIG_MAIN, 1, 1, CONFIG_BLOCK, CONFIG_INTERFACE, see, 1 },
	{ "events", CONFIG_MAIN, 0, 0, CONFIG_BLOCK, CONFIG_EVENTS },
	{ "http", CONFIG_MAIN, 0, 0, CONFIG_BLOCK, CONFIG_HTTP },
	{ "access_log", CONFIG_HTTP, 1, 1, 0, 0, see, 2 },
	{ "upstream", CONFIG_HTTP, 1, 1, CONFIG_BLOCK, CONFIG_UPSTREAM },
	{ "server", CONFIG_UPSTREAM, 1, 1, 0, 0, see, 2 },
	{ "server", CONFIG_HTTP, 0, 0, CONFIG_BLOCK, CONFIG_SERVER },
	{ "listen", CONFIG_SERVER, 1, 1, 0, 0, see, 2 },
	{ "location", CONFIG_SERVER, 1, 1, CONFIG_BLOCK, CONFIG_LOCATION },
	{ "proxy_pass", CONFIG_LOCATION, 1, 1, 0, 0, see, 2 },
	{ NULL },
};
static struct config_module seeing_module = { .name = "seeing", .directives = seeing };

static void
awkward_words_come_back_from_the_text_as_they_were(void **state)
{
	static struct config_module *const modules[] = { &seeing_module, NULL };
	const char *log = "/tmp/a \"b\" \\n '{;}#\n c.log", *interface = "vdev:net_tap0,iface=\"x;y\"#\\t{$z}";
	struct cmdline cmdline;
	struct config_source source;
	struct config *config;

	assert_int_equal(parse(&cmdline, (arguments){ "--listen", "80", "--backend", "a", "--interface", interface,
						      "-e", log, "--access-log=\n}\n" }),
			 0);
	source = (struct config_source){ .path = cmdline.configuration_path,
					 .text = bytes_of_string(cmdline.configuration_text) };
	config = config_parse(&source, modules);
	if (config_error(config))
		fail_msg("%s\n%s", config_error(config), cmdline.configuration_text);
	assert_string_equal(seen[0], log);
	assert_string_equal(seen[1], interface);
	assert_string_equal(cmdline.error_log, log);
	config_free(config);
	cmdline_free(&cmdline);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_flags_get_the_words_of_nginx),
		cmocka_unit_test(flags_may_stand_together_and_with_their_values),
		cmocka_unit_test(nothing_given_means_the_defaults),
		cmocka_unit_test(help_and_version_have_long_names),
		cmocka_unit_test(usage_names_every_option_within_a_terminal),
		cmocka_unit_test(arguments_behind_two_dashes_are_for_eal),
		cmocka_unit_test(wrong_long_options_say_which_word_and_why),
		cmocka_unit_test(an_unknown_method_names_the_known_ones),
		cmocka_unit_test(long_options_become_a_configuration),
		cmocka_unit_test(https_brings_its_certificates),
		cmocka_unit_test(the_shortest_command_line_is_enough),
		cmocka_unit_test(packet_level_listeners_become_a_stream),
		cmocka_unit_test(every_method_can_be_named),
		cmocka_unit_test(awkward_words_come_back_from_the_text_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
