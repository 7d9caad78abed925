/* What the kernel says of an interface's RSS, by ethtool's commands. */
#include <errno.h>
#include <linux/ethtool.h>
#include <rte_ethdev.h>
#include <stdlib.h>
#include <string.h>

#include "port/device.h"
#include "port/rss.h"

#define ADDRESSES (RXH_IP_SRC | RXH_IP_DST)
#define PORTS (RXH_L4_B_0_1 | RXH_L4_B_2_3)

/* struct ethtool_rxfh.hfunc: Toeplitz (ETH_RSS_HASH_TOP, which the header of Linux 6.1 does not export). */
#define HASH_TOEPLITZ 1

static const struct {
	uint32_t kernel;
	uint64_t with_ports, addresses;
} flows[PORT_RSS_FLOWS] = {
	{ TCP_V4_FLOW, RTE_ETH_RSS_NONFRAG_IPV4_TCP, RTE_ETH_RSS_IPV4 },
	{ UDP_V4_FLOW, RTE_ETH_RSS_NONFRAG_IPV4_UDP, RTE_ETH_RSS_IPV4 },
	{ TCP_V6_FLOW, RTE_ETH_RSS_NONFRAG_IPV6_TCP, RTE_ETH_RSS_IPV6 },
	{ UDP_V6_FLOW, RTE_ETH_RSS_NONFRAG_IPV6_UDP, RTE_ETH_RSS_IPV6 },
};

/* Of a packet that is hashed by its addresses it is said by IP version alone, so one that is not hashed at all must not be of
 * the same version. */
static int
types_decode(struct port_rss *rss, const uint64_t fields[PORT_RSS_FLOWS])
{
	uint64_t not_hashed = 0;

	for (unsigned int i = 0; i < PORT_RSS_FLOWS; i++) {
		if (fields[i] == (ADDRESSES | PORTS))
			rss->types |= flows[i].with_ports;
		else if (fields[i] == ADDRESSES)
			rss->types |= flows[i].addresses;
		else if (fields[i] == 0)
			not_hashed |= flows[i].addresses;
		else
			return -ENOTSUP;
	}
	return !rss->types || rss->types & not_hashed ? -ENOTSUP : 0;
}

int
port_rss_decode(struct port_rss *rss, const struct ethtool_rxfh *answer, size_t len,
		const uint64_t fields[PORT_RSS_FLOWS], uint16_t queues)
{
	static const uint8_t zeros[PORT_RSS_KEY_MAX];
	uint32_t size, key_len;

	memset(rss, 0, sizeof(*rss));
	if (len < sizeof(*answer))
		return -EINVAL;
	size = answer->indir_size;
	key_len = answer->key_size;
	/* The byte behind the function says since Linux 6.8 what is done to the input before it is hashed. */
	if (answer->hfunc != HASH_TOEPLITZ || answer->rsvd8[0])
		return -ENOTSUP;
	if (size == 0 || size > PORT_RSS_TABLE_MAX || size & (size - 1))
		return -ENOTSUP;
	if (key_len < PORT_RSS_KEY_MIN || key_len > PORT_RSS_KEY_MAX)
		return -ENOTSUP;
	if (len < sizeof(*answer) + size * sizeof(uint32_t) + key_len)
		return -EINVAL;
	memcpy(rss->key, answer->rss_config + size, key_len);
	if (!memcmp(rss->key, zeros, key_len))
		return -ENOTSUP;
	for (uint32_t i = 0; i < size; i++)
		rss->table[i] = (uint16_t)(answer->rss_config[i] % queues);
	rss->table_size = (uint16_t)size;
	return types_decode(rss, fields);
}

static int
fields_read(const char *name, uint64_t fields[PORT_RSS_FLOWS])
{
	for (unsigned int i = 0; i < PORT_RSS_FLOWS; i++) {
		struct ethtool_rxnfc command = { .cmd = ETHTOOL_GRXFH, .flow_type = flows[i].kernel };
		int rc = port_device_ethtool(name, &command);

		if (rc < 0)
			return rc;
		fields[i] = command.data;
	}
	return 0;
}

int
port_rss_read_interface(struct port_rss *rss, const char *name, uint16_t queues)
{
	struct ethtool_rxfh sizes = { .cmd = ETHTOOL_GRSSH }, *answer;
	uint64_t fields[PORT_RSS_FLOWS];
	size_t len;
	int rc = port_device_ethtool(name, &sizes);

	if (rc == 0)
		rc = fields_read(name, fields);
	if (rc < 0)
		return rc;
	if (sizes.indir_size > PORT_RSS_TABLE_MAX || sizes.key_size > PORT_RSS_KEY_MAX)
		return -ENOTSUP;
	len = sizeof(sizes) + sizes.indir_size * sizeof(uint32_t) + sizes.key_size;
	answer = calloc(1, len);
	if (!answer)
		return -ENOMEM;
	answer->cmd = ETHTOOL_GRSSH;
	answer->indir_size = sizes.indir_size;
	answer->key_size = sizes.key_size;
	rc = port_device_ethtool(name, answer);
	if (rc == 0)
		rc = port_rss_decode(rss, answer, len, fields, queues);
	free(answer);
	return rc;
}
