/*
 * What access logs do to the bytes of variables, so that a client cannot forge a line: nginx's escape=default and json.
 * Return the length, or SIZE_MAX when it does not fit.
 */
#ifndef FILTER_ACCESS_LOG_ESCAPE_H
#define FILTER_ACCESS_LOG_ESCAPE_H

#include "config/variable.h"

/* '"', '\' and bytes below 0x20 and above 0x7e as \xXX. */
config_escape_fn access_log_escape_default;
/* Inside a JSON string: \" \\ \n \r \t \b \f, others below 0x20 as \u00XX. */
config_escape_fn access_log_escape_json;

#endif
