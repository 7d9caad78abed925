/*
 * `access_log PATH [FORMAT] | off` and `log_format NAME [escape=default|json|none] TEXT...`: one line per exchange, built
 * on the lcore and written by the log writer (base/log.h). A line that finds the ring full is dropped and counted.
 */
#ifndef FILTER_ACCESS_LOG_ACCESS_LOG_H
#define FILTER_ACCESS_LOG_ACCESS_LOG_H

#include "proxy/exchange/phase.h"

extern const struct proxy_filter access_log_filter;

/* Where lines go when the configuration names no access_log; relative paths are relative to the prefix. */
#define ACCESS_LOG_DEFAULT "/var/log/weir/access.log"

#endif
