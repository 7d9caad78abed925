/*
 * What only this machine's kernel can tell, by system call; host.h has the names. Nothing is changed: maps and sockets that are
 * made to see whether they can be are closed at once. Not for other files than host.c.
 */
#ifndef WEIRCTL_DOCTOR_PROBE_H
#define WEIRCTL_DOCTOR_PROBE_H

#include "weirctl/doctor/host.h"

bool probe_kernel(const char *name, long long *value);
bool probe_interface(const char *interface, const char *name, long long *value);
bool probe_interface_driver(const char *interface, char *out, size_t size);
void probe_interfaces(struct host_names *out);

#endif
