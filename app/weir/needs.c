/* What a configuration needs of the host, known before anything is taken from it: for EAL's arguments, and for whoever asks. */
#include <string.h>

#include "weir/core.h"
#include "weir/topology.h"

/* A port and its queues' worth of mbufs: descriptors of both directions and the bursts in between. */
#define MBUFS_PER_QUEUE 7168
/* What a connection may hold: its receive and send buffers in full segments. Most hold nothing. */
#define MBUFS_PER_CONNECTION 140
#define MBUFS_PER_WORKER_MIN 8192
#define MBUFS_PER_WORKER_MAX 49152

/* Everything but packet buffers: rings, port structures, EAL's own. */
#define OTHER_MEGABYTES 64

bool
topology_needs_pci(struct config *config)
{
	for (const struct core_interface *i = core_settings(config)->interfaces; i; i = i->next)
		if (port_name_is_dpdk(i->port.name) && strncmp(i->port.name, "vdev:", 5) != 0)
			return true;
	return false;
}

bool
topology_needs_dpdk(struct config *config)
{
	for (const struct core_interface *i = core_settings(config)->interfaces; i; i = i->next)
		if (!port_is_xdp(&i->port))
			return true;
	return false;
}

bool
topology_may_have_xdp(struct config *config)
{
	if (!core_settings(config)->interfaces)
		return true;
	for (const struct core_interface *i = core_settings(config)->interfaces; i; i = i->next)
		if (port_is_xdp(&i->port))
			return true;
	return false;
}

uint32_t
topology_packet_buffers(struct config *config)
{
	const struct core_settings *core = core_settings(config);
	struct worker_roles roles = core_roles(core);
	int64_t per_worker = core_events(config)->worker_connections * MBUFS_PER_CONNECTION;

	if (core->packet_buffers != CONFIG_UNSET_SIZE)
		return core->packet_buffers < 2048 ? 2048 : (uint32_t)core->packet_buffers;
	if (per_worker < MBUFS_PER_WORKER_MIN)
		per_worker = MBUFS_PER_WORKER_MIN;
	if (per_worker > MBUFS_PER_WORKER_MAX)
		per_worker = MBUFS_PER_WORKER_MAX;
	return (uint32_t)(per_worker * (roles.count - roles.stack_first) + MBUFS_PER_QUEUE * roles.count);
}

unsigned long
topology_megabytes(struct config *config)
{
	/* A buffer takes 2 KB, or 4 KB where the MTU is large; reckoned as the larger. */
	return topology_packet_buffers(config) / 256 + OTHER_MEGABYTES;
}
