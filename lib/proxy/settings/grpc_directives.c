/* grpc_pass, and what grpc_* has beside the words of proxy_* (pass_directives.c). */
#include <errno.h>

#include "base/address.h"
#include "proxy/server/call_h2.h"
#include "proxy/settings/directives.h"

/* nginx asks for a port where no `upstream` has that name: there is no usual one. */
static bool
lacks_port(struct bytes host)
{
	struct ip_address address;

	return ip_address_parse(host, &address) == 0;
}

/* "[grpc://|grpcs://]host[:port]" */
int
proxy_set_grpc_pass(struct config_directive_call *call)
{
	struct proxy_location *location = call->settings;
	struct bytes host = call->words[1], plain = BYTES("grpc://"), secure = BYTES("grpcs://");
	bool is_secure = bytes_start_with(host, secure);

	if (is_secure || bytes_start_with(host, plain))
		host = bytes_from(host, is_secure ? secure.len : plain.len);
	if (bytes_index(host, '/') >= 0 || bytes_index(host, '?') >= 0)
		return config_fail(call, "\"grpc_pass\" cannot have a URI: the request's own goes to the server");
	if (lacks_port(host))
		return config_fail(call, "no port in upstream \"%s\"", (const char *)host.data);
	if (proxy_pass_to(call, host, 0) < 0)
		return -EINVAL;
	location->open = proxy_call_open_http2;
	location->pass_http2 = true;
	location->pass_secure = is_secure;
	location->pass_scheme = bytes_of_string(is_secure ? "grpcs" : "grpc");
	return 0;
}

/* What is off in Weir may be called off. */
int
proxy_set_grpc_off(struct config_directive_call *call)
{
	if (bytes_equal_string(call->words[1], "off"))
		return 0;
	return config_fail(call, "\"%s on\" is not supported: %s", call->directive->name,
			   (const char *)call->directive->extra);
}
