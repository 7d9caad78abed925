/*
 * Finding DPDK's Ethernet devices by the names that the configuration gives them. Control only. Not for other rooms.
 */
#ifndef PORT_DPDK_DEVICE_H
#define PORT_DPDK_DEVICE_H

#include <stddef.h>
#include <stdint.h>

/*
 * "vdev:NAME[,ARGUMENTS]" makes the virtual device; a PCI address takes the device that is there, attaching it unless EAL
 * has. *id is DPDK's port. 0, or -errno with what is wrong and what to do about it.
 */
int dpdk_device_attach(const char *name, uint16_t *id, char *error, size_t size);
/* Closes the port and takes the device away again. */
void dpdk_device_detach(uint16_t id);

#endif
