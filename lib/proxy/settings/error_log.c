#include <errno.h>

#include "proxy/settings/error_log.h"

static void
release(void *file)
{
	log_file_put(file);
}

int
proxy_error_log_add(struct config_directive_call *call, const struct log_target **targets)
{
	bool is_stderr = bytes_equal_string(call->words[1], "stderr");
	const char *path = is_stderr ? "stderr" : config_full_path(call->config, call->words[1]);
	struct log_target *target = arena_alloc(config_arena(call->config), sizeof(*target));
	int error;

	target->level = LOG_ERR;
	if (call->word_count > 2 && log_level_parse(call->words[2], &target->level) < 0)
		return config_fail(call, "invalid log level \"%s\"", (const char *)call->words[2].data);
	if (call->word_count > 3)
		return config_fail(call, "invalid parameter \"%s\"", (const char *)call->words[3].data);
	if (bytes_start_with(call->words[1], (struct bytes)BYTES("syslog:")) ||
	    bytes_start_with(call->words[1], (struct bytes)BYTES("memory:")))
		return config_fail(call,
				   "\"error_log\" to \"%s\" is not supported by this version of weir: name a file",
				   (const char *)call->words[1].data);
	error = log_file_get(path, &target->file);
	if (error < 0)
		return config_fail(call, "open() \"%s\" failed (%d: %s)", path, -error, strerror(-error));
	arena_on_free(config_arena(call->config), release, target->file);
	target->next = *targets;
	*targets = target;
	return 0;
}
