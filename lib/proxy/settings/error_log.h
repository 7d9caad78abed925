/*
 * `error_log PATH [LEVEL]`, for every context it may stand in. Control only.
 */
#ifndef PROXY_ERROR_LOG_H
#define PROXY_ERROR_LOG_H

#include "base/log.h"
#include "config/config.h"

/* Opens the file (released with the configuration) and adds it to the targets. 0 or -EINVAL after config_fail(). */
int proxy_error_log_add(struct config_directive_call *call, const struct log_target **targets);

#endif
