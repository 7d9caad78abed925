#include "weir/modules.h"

#include <stdbool.h>

#include "filter/filters.h"
#include "l4/l4.h"
#include "proxy/proxy.h"
#include "proxy/relay/relay.h"
#include "proxy/settings/map.h"
#include "proxy/settings/real_ip.h"
#include "proxy/settings/settings.h"
#include "stream/stream.h"
#include "tls/settings.h"
#include "upstream/upstream.h"
#include "weir/core.h"

#define MODULES_MAX 32

/* Rooms first, then what each filter brings. */
struct config_module *const *
weir_modules(void)
{
	static struct config_module *modules[MODULES_MAX] = {
		&core_module,
		&events_module,
		&upstream_module,
		&stream_module,
		&l4_module,
		&tls_module,
		&tls_client_module,
		&tls_grpc_module,
		&proxy_server_module,
		&proxy_location_module,
		&proxy_real_ip_module,
		&proxy_stream_module,
		&proxy_map_module,
	};
	size_t count = 0;

	while (modules[count])
		count++;
	for (const struct proxy_filter *const *f = filters; *f && count < MODULES_MAX - 1; f++) {
		bool known = false;

		for (size_t i = 0; i < count; i++)
			known |= modules[i] == (*f)->module;
		if (!known)
			modules[count++] = (*f)->module;
	}
	return modules;
}
