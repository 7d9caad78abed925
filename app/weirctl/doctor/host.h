/*
 * The host that the doctor looks at: files of /sys and /proc, and probes, which are what only a system call tells. Everything
 * below a root directory, so that hosts that this machine is not can be looked at: there, a probe is a file too, of its name,
 * in ROOT/probe/kernel or ROOT/probe/interface/NAME.
 *
 * Interfaces are asked for by system call and not through /sys, which may show another network namespace's.
 */
#ifndef WEIRCTL_DOCTOR_HOST_H
#define WEIRCTL_DOCTOR_HOST_H

#include <stdbool.h>
#include <stddef.h>

#define HOST_NAMES_MAX 256
#define HOST_NAME_SIZE 64

struct host {
	const char *root; /* "": this machine */
};

struct host_names {
	unsigned int count; /* what does not fit is left out */
	char names[HOST_NAMES_MAX][HOST_NAME_SIZE];
};

#define HOST_PATH(a, b) __attribute__((format(printf, a, b)))

/* A file's beginning, up to its last printable character. False: there is none, or it cannot be read. */
bool host_read(const struct host *host, char *out, size_t size, const char *format, ...) HOST_PATH(4, 5);
/* A file that begins with a number. */
bool host_number(const struct host *host, long long *value, const char *format, ...) HOST_PATH(3, 4);
bool host_exists(const struct host *host, const char *format, ...) HOST_PATH(2, 3);
/* The last part of what a symbolic link points to: a driver's name, for instance. */
bool host_link(const struct host *host, char *out, size_t size, const char *format, ...) HOST_PATH(4, 5);
/* A directory's names in order, numbers in them by value; none when there is no such directory. */
void host_list(const struct host *host, struct host_names *out, const char *format, ...) HOST_PATH(3, 4);

/*
 * Of the kernel: xdp, af_xdp, bpf_link, mmapable (1 or 0), memlock (bytes, -1: no limit), privileged.
 * Of an interface: mtu, up, rx_queues, rx_queues_max, rx_ring, rx_ring_max, tx_ring, tx_ring_max, lro, xdp_program (0: none).
 * False: it cannot be told.
 */
bool host_probe_kernel(const struct host *host, const char *name, long long *value);
bool host_probe_interface(const struct host *host, const char *interface, const char *name, long long *value);
/* The kernel's driver of an interface ("veth", "i40e"). */
bool host_interface_driver(const struct host *host, const char *interface, char *out, size_t size);
void host_interfaces(const struct host *host, struct host_names *out);

#endif
