/*
 * What Linux says about an interface, asked from the network namespace of the caller (never through /sys, which may show
 * another one's). Control only; blocking calls. Not for other rooms.
 */
#ifndef PORT_DEVICE_H
#define PORT_DEVICE_H

#include <rte_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port_device {
	int ifindex;
	uint32_t flags; /* IFF_* */
	uint32_t mtu;
	struct rte_ether_addr mac;
	uint16_t hardware_type; /* ARPHRD_* */
	uint32_t rx_queues, tx_queues;
	bool queues_exact;    /* else upper bounds: the driver does not say how many are in use */
	bool spreads_by_flow; /* receive-side scaling with an indirection table */
	bool has_bus;         /* hardware, or a hypervisor's: not an end of something inside this kernel */
};

/* 0, or -errno: -ENODEV when there is none of that name. */
int port_device_read(const char *name, struct port_device *out);

/* Up and with carrier. False as well when the interface is gone. */
bool port_device_is_running(int ifindex);

/* Name of its driver, empty where it has none to tell. */
void port_device_driver_read(const char *name, char *out, size_t size);

/* One of ethtool's commands, which begins with its number. 0 or -errno. */
int port_device_ethtool(const char *name, void *command);

/* An on/off setting by its ethtool commands, such as ETHTOOL_GTSO and ETHTOOL_STSO. The value or -errno; 0 or -errno. */
int port_device_setting_read(const char *name, uint32_t get_command);
int port_device_setting_write(const char *name, uint32_t set_command, uint32_t value);

#endif
