/* What a configuration is refused with, for the tests of its words. */
#ifndef TESTS_PROXY_REFUSAL_H
#define TESTS_PROXY_REFUSAL_H

#include "support/cmocka.h"
#include "world.h"

/* `text` stands in the http block; `wanted` is in the error that it has, NULL: it has none. */
static inline void
assert_error(const struct world *world, const char *text, const char *wanted)
{
	struct config *config = world_parse(world, text);
	const char *error = config_error(config);

	if (!error != !wanted || (wanted && !strstr(error, wanted)))
		fail_msg("%s\n wanted: %s\n got:    %s", text, wanted ? wanted : "nothing", error ? error : "nothing");
	config_free(config);
}

#endif
