/* `weir -v` and `weir -V`. */
#ifndef WEIR_VERSION_H
#define WEIR_VERSION_H

#include <stdbool.h>
#include <stdio.h>

/*
 * nginx's lines; with `verbose` also the compiler, the libraries built with and running with, the rooms, and the options
 * of the build. The build defines WEIR_VERSION, WEIR_CONFIGURE (options, "-Dnative_cpu=true") and WEIR_ROOMS ("base
 * config").
 */
void print_version(FILE *out, bool verbose);

#endif
