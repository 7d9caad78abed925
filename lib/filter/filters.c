#include "filter/filters.h"
#include "filter/access_log/access_log.h"
#include "filter/headers/headers.h"

const struct proxy_filter *const filters[] = {
	&headers_filter,
	&access_log_filter,
	NULL,
};
