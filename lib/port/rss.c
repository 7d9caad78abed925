#include "port/rss.h"

#include <errno.h>
#include <netinet/in.h>
#include <rte_ethdev.h>
#include <rte_thash.h>
#include <string.h>

#define GROUPS_MAX (PORT_RSS_TABLE_MAX / RTE_ETH_RETA_GROUP_SIZE)

const struct port_rss port_rss_one_queue = { .table_size = 1 };

static int
table_read(struct port_rss *rss, uint16_t device, uint16_t size)
{
	struct rte_eth_rss_reta_entry64 groups[GROUPS_MAX];
	int rc;

	if (size == 0 || size > PORT_RSS_TABLE_MAX || size & (size - 1))
		return -ENOTSUP;
	for (unsigned int i = 0; i < GROUPS_MAX; i++)
		groups[i] = (struct rte_eth_rss_reta_entry64){ .mask = UINT64_MAX };
	rc = rte_eth_dev_rss_reta_query(device, groups, size);
	if (rc < 0)
		return rc;
	for (uint16_t i = 0; i < size; i++)
		rss->table[i] = groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	rss->table_size = size;
	return 0;
}

int
port_rss_read(struct port_rss *rss, uint16_t device)
{
	struct rte_eth_rss_conf conf = { .rss_key = rss->key, .rss_key_len = sizeof(rss->key) };
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(device, &info);

	memset(rss, 0, sizeof(*rss));
	if (rc < 0)
		return rc;
	/* What drivers do not say the length of is as long as the usual key. */
	if (info.hash_key_size > sizeof(rss->key) || (info.hash_key_size && info.hash_key_size < PORT_RSS_KEY_MIN))
		return -ENOTSUP;
	rc = rte_eth_dev_rss_hash_conf_get(device, &conf);
	if (rc < 0)
		return rc;
	/* A key of zeros puts everything on one queue: no device is set up like that, but some say so. */
	if (!conf.rss_hf || !memcmp(rss->key, &(const uint8_t[PORT_RSS_KEY_MIN]){ 0 }, PORT_RSS_KEY_MIN))
		return -ENOTSUP;
	rss->types = conf.rss_hf;
	return table_read(rss, device, info.reta_size);
}

bool
port_rss_same(const struct port_rss *a, const struct port_rss *b)
{
	return a->table_size == b->table_size && a->types == b->types && !memcmp(a->key, b->key, sizeof(a->key)) &&
	       !memcmp(a->table, b->table, a->table_size * sizeof(a->table[0]));
}

/* Words of the input: 0 when such packets are not hashed, so come in on whatever queue. */
static uint32_t
input_len(const struct port_rss *rss, bool v6, uint8_t ip_protocol)
{
	const uint64_t with_ports[2][2] = { { RTE_ETH_RSS_NONFRAG_IPV4_UDP, RTE_ETH_RSS_NONFRAG_IPV4_TCP },
					    { RTE_ETH_RSS_NONFRAG_IPV6_UDP, RTE_ETH_RSS_NONFRAG_IPV6_TCP } };
	const uint64_t addresses = v6 ? RTE_ETH_RSS_IPV6 : RTE_ETH_RSS_IPV4;

	if (rss->types & with_ports[v6][ip_protocol == IPPROTO_TCP])
		return v6 ? RTE_THASH_V6_L4_LEN : RTE_THASH_V4_L4_LEN;
	if (rss->types & addresses)
		return v6 ? RTE_THASH_V6_L3_LEN : RTE_THASH_V4_L3_LEN;
	return 0;
}

static uint32_t
address_put(uint32_t *input, const struct ip_address *ip, bool v6)
{
	uint32_t count = 0;

	for (unsigned int i = v6 ? 0 : 3; i < 4; i++)
		input[count++] = ntohl(ip->words_be[i]);
	return count;
}

int
port_rss_queue(const struct port_rss *rss, const struct endpoint *source, const struct endpoint *destination,
	       uint8_t ip_protocol)
{
	bool v6 = !ip_address_is_v4(&source->ip);
	uint32_t input[RTE_THASH_V6_L4_LEN], len, at;

	if (rss->table_size == 1)
		return rss->table[0];
	len = input_len(rss, v6, ip_protocol);
	if (!len)
		return -1;
	at = address_put(input, &source->ip, v6);
	at += address_put(input + at, &destination->ip, v6);
	input[at] = (uint32_t)ntohs(source->port_be) << 16 | ntohs(destination->port_be);
	return rss->table[rte_softrss(input, len, rss->key) & (rss->table_size - 1)];
}
