/*
 * `add_header NAME VALUE [always]`: fields added to responses. Without `always`, only to those of the statuses that nginx
 * names (200, 201, 204, 206, 301, 302, 303, 304, 307, 308). A level with any add_header inherits none.
 */
#ifndef FILTER_HEADERS_HEADERS_H
#define FILTER_HEADERS_HEADERS_H

#include "proxy/exchange/phase.h"

extern const struct proxy_filter headers_filter;

#endif
