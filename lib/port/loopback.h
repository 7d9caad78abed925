/*
 * What has to be different on `lo` for packets to go to Weir and back through AF_XDP. Control only. Not for other rooms.
 *
 * Linux sends TCP packets over lo that are not cut up to its MTU (segmentation offload), and does not accept packets
 * from 127.0.0.1 that came in through a device (route_localnet, accept_local). The values found are kept in a file below
 * /run/weir, named after the network namespace's cookie, until they are restored: the next start after a kill therefore
 * still knows them, and takes them from there rather than from the kernel.
 */
#ifndef PORT_LOOPBACK_H
#define PORT_LOOPBACK_H

#include <stdbool.h>
#include <stddef.h>

#define PORT_LOOPBACK_SETTINGS 4

/* What was found. */
struct port_loopback {
	int originals[PORT_LOOPBACK_SETTINGS];
};

/* Changes what must be changed and logs it. 0 or -errno with a reason; then all is as it was. With `long_packets`
 * segmentation offload stays as it is. */
int port_loopback_prepare(struct port_loopback *loopback, bool long_packets, char *error, size_t size);
/* Sets everything back, logs it and removes the file. */
void port_loopback_restore(const struct port_loopback *loopback);

#endif
