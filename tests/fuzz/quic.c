/* A datagram whose connection id may name a server. The first byte is how many octets of the id count. */
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "l4/quic.h"

#define IP_LEN 20
#define UDP_LEN 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct l4_quic_ids *ids = malloc(sizeof(*ids) + 2 * sizeof(ids->ids[0]));
	uint32_t len = (uint32_t)(size ? size - 1 : 0);
	/* No longer than what is there, so that a byte read behind it is seen. */
	uint8_t *copy = malloc(len + 1);
	struct rte_mbuf m = { .buf_addr = copy, .data_len = (uint16_t)len, .pkt_len = len, .nb_segs = 1 };
	struct l4_packet p = {
		.m = &m, .l3 = copy, .l3_len = IP_LEN, .ip_len = (uint16_t)len, .ip_protocol = IPPROTO_UDP
	};

	assert(ids && copy);
	if (len >= IP_LEN + UDP_LEN && len <= UINT16_MAX) {
		memcpy(copy, data + 1, len);
		ids->id_len = 1 + data[0] % UPSTREAM_QUIC_ID_MAX;
		ids->count = 2;
		ids->ids[0] = (struct l4_quic_id){ .id = 0x0a, .server = 0 };
		ids->ids[1] = (struct l4_quic_id){ .id = 0x0a1b, .server = 1 };
		int server = l4_quic_server(ids, &p);
		assert(server >= -1 && server <= 1);
	}
	free(copy);
	free(ids);
	return 0;
}
