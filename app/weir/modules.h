/* All modules of the configuration, for every program that reads one. Control only. */
#ifndef WEIR_MODULES_H
#define WEIR_MODULES_H

#include "config/config.h"

/* Ends with NULL; groups come before those who refer to them. */
struct config_module *const *weir_modules(void);

#endif
