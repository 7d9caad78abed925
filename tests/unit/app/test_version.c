#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weir/version.h"

static char *
printed(bool verbose)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	print_version(out, verbose);
	fclose(out);
	return text;
}

static void
the_version_is_one_line_in_nginx_form(void **state)
{
	char *text = printed(false);

	assert_string_equal(text, "weir version: weir/" WEIR_VERSION "\n");
	free(text);
}

static void
the_build_names_libraries_rooms_and_options(void **state)
{
	static const char *const parts[] = { "weir version: weir/",      "\nbuilt by ",
					     "\nbuilt with DPDK 22.11.", "\nbuilt with libbpf 1.",
					     "\nbuilt with OpenSSL 3.",  "\nbuilt with PCRE2 10.",
					     "\nrooms: base config\n",   "\nconfigure arguments: -Dtests=true\n" };
	char *text = printed(true);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strstr(text, parts[i]))
			fail_msg("no \"%s\" in:\n%s", parts[i], text);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_version_is_one_line_in_nginx_form),
		cmocka_unit_test(the_build_names_libraries_rooms_and_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
