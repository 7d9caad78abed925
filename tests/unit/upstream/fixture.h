/* Reads an `upstream` from configuration text, with names that resolve the same everywhere. */
#ifndef UPSTREAM_FIXTURE_H
#define UPSTREAM_FIXTURE_H

#include "upstream/upstream.h"

/* Parses "http {\nTEXT\n}"; the text's first line is line 2 of "test.conf". `pass HOST[:PORT] [DEFAULT_PORT];` in http
 * stands for a proxy_pass; fixture_passed() has its groups in order. */
struct config *fixture_parse(const char *text);
/* The same text in `stream`, where `pass HOST[:PORT];` has no default port. */
struct config *fixture_parse_stream(const char *text);
/* fixture_parse(), failing the test when there is an error. */
struct config *fixture_parse_well(const char *text);
struct upstream_group *fixture_passed(size_t index);

/* The texts of all warnings, one per line. */
const char *fixture_warnings(const struct config *config);

/*
 * Resolved without a name server: "one.test" to 10.0.0.1; "two.test" to 2001:db8::2, 10.0.0.2 and 10.0.0.3, in this order;
 * "many.test" to 2000 addresses. All other names are unknown.
 */

#endif
