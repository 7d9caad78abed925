#include "weir/version.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <bpf/libbpf.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <pcre2.h>
#include <rte_version.h>
#include <string.h>

#ifndef WEIR_CONFIGURE
#define WEIR_CONFIGURE ""
#endif
#ifndef WEIR_ROOMS
#define WEIR_ROOMS ""
#endif

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

/* As nginx does for OpenSSL: the library that runs is named where it is not the one of the headers. */
static void
print_library(FILE *out, const char *name, const char *built, const char *running)
{
	fprintf(out, "built with %s", name);
	if (*built)
		fprintf(out, " %s", built);
	/* A running version may say more, such as its date: the built one is then its beginning. */
	if (strncmp(running, built, strlen(built)) != 0)
		fprintf(out, " (running with %s)", running);
	fputc('\n', out);
}

static void
print_libraries(FILE *out)
{
	const char *dpdk = rte_version(), *libbpf = libbpf_version_string();
	char pcre2[64] = "";

	pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
	/* "DPDK 22.11.3", "v1.1" */
	print_library(out, "DPDK", TEXT(RTE_VER_YEAR) "." TEXT(RTE_VER_MONTH) "." TEXT(RTE_VER_MINOR),
		      strncmp(dpdk, "DPDK ", 5) == 0 ? dpdk + 5 : dpdk);
	print_library(out, "libbpf", TEXT(LIBBPF_MAJOR_VERSION) "." TEXT(LIBBPF_MINOR_VERSION),
		      libbpf[0] == 'v' ? libbpf + 1 : libbpf);
	print_library(out, "OpenSSL", OPENSSL_VERSION_STR, OpenSSL_version(OPENSSL_VERSION_STRING));
	print_library(out, "PCRE2", TEXT(PCRE2_MAJOR) "." TEXT(PCRE2_MINOR), pcre2);
}

void
print_version(FILE *out, bool verbose)
{
	fputs("weir version: weir/" WEIR_VERSION "\n", out);
	if (!verbose)
		return;
#if defined(__clang__)
	fputs("built by clang " __clang_version__ "\n", out);
#else
	fputs("built by gcc " __VERSION__ "\n", out);
#endif
	print_libraries(out);
	fputs("rooms: " WEIR_ROOMS "\nconfigure arguments: " WEIR_CONFIGURE "\n", out);
}
