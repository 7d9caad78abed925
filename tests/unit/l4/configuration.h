/* `stream` from configuration text, and what is made of it, for the tests of this room's control side. */
#ifndef L4_CONFIGURATION_H
#define L4_CONFIGURATION_H

#include "l4/l4.h"

/* Parses TEXT as the whole of "t.conf". The caller frees it. */
struct config *configuration_parse(const char *text);
/* The same, failing the test when there is an error. */
struct config *configuration_parse_well(const char *text);

/* Fails the test unless TEXT is refused with a message that begins with WANTED, its place included. */
void configuration_assert_error(const char *text, const char *wanted);
/* All warnings of a configuration, one per line, until the next call. */
const char *configuration_warnings(const struct config *config);

/* A generation whose local addresses are 192.0.2.1 and 2001:db8::1; fails the test when there is none. */
struct l4_generation *configuration_generation(struct l4_registry *registry, struct config *config,
					       const struct l4_generation *previous);

/* By address and port as text: "10.0.1.1:80". NULL when it is no service's. */
const struct l4_service *configuration_service(const struct l4_generation *generation, const char *endpoint,
					       uint8_t ip_protocol);

#endif
