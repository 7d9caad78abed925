/*
 * All filters, in the order in which exchanges walk them. A new filter is a folder and a row in filters.c.
 */
#ifndef FILTER_FILTERS_H
#define FILTER_FILTERS_H

#include "proxy/exchange/phase.h"

/* Ends with NULL. */
extern const struct proxy_filter *const filters[];

#endif
