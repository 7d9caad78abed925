/* The http2_* rows: what nginx 1.22 has, and what it says of those that are gone. */
#include <errno.h>

#include "proxy/settings/directives.h"

#define WINDOW_MAX 0x7fffffff /* RFC 9113 section 6.9.1 */
#define FRAME_MAX 0xffffff    /* section 4.2 */

int
proxy_set_http2_preread(struct config_directive_call *call)
{
	const struct proxy_server *server = call->settings;

	if (config_set_size(call) < 0)
		return -EINVAL;
	if (server->http2_preread_size > WINDOW_MAX)
		return config_fail(call, "the maximum body preread buffer size is %d", WINDOW_MAX);
	return 0;
}

int
proxy_set_http2_chunk_size(struct config_directive_call *call)
{
	const struct proxy_location *location = call->settings;

	if (config_set_size(call) < 0)
		return -EINVAL;
	if (location->http2_chunk_size == 0)
		return config_fail(call, "the http2 chunk size cannot be zero");
	if (location->http2_chunk_size > FRAME_MAX)
		return config_fail(call, "the maximum http2 chunk size is %d", FRAME_MAX);
	return 0;
}

int
proxy_set_http2_obsolete(struct config_directive_call *call)
{
	config_warn(call, "the \"%s\" directive is obsolete, use the \"%s\" directive instead", call->directive->name,
		    (const char *)call->directive->extra);
	return 0;
}

int
proxy_set_http2_unsupported(struct config_directive_call *call)
{
	return config_fail(call, "\"%s\" is not supported: %s", call->directive->name,
			   (const char *)call->directive->extra);
}

/* What is off in Weir may be called off. */
int
proxy_set_http2_push(struct config_directive_call *call)
{
	if (bytes_equal_string(call->words[1], "off"))
		return 0;
	return config_fail(call, "\"%s\" is not supported: clients do not take server push any more",
			   call->directive->name);
}
