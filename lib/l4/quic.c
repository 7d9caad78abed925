#include "l4/quic.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/bytes.h"

/* The same in all versions: RFC 8999 section 5. */
#define LONG_HEADER 0x80
#define LONG_ID_LEN_AT 5
#define SHORT_ID_AT 1

#define UDP_HEADER_LEN 8
#define UDP_LENGTH_AT 4
/* In the connection id. */
#define SERVER_ID_AT 1

static int
compare_ids(const void *left, const void *right)
{
	const struct l4_quic_id *a = left, *b = right;

	return a->id < b->id ? -1 : a->id > b->id;
}

const struct l4_quic_ids *
l4_quic_ids_build(struct arena *arena, const struct upstream_group *group)
{
	uint32_t count = group->primary_count + group->backup_count;
	struct l4_quic_ids *ids = arena_alloc(arena, sizeof(*ids) + count * sizeof(ids->ids[0]));

	for (uint32_t i = 0; i < count; i++) {
		const struct upstream_server *server = &group->servers[i];

		assert(server->quic_id_len && (i == 0 || server->quic_id_len == ids->id_len));
		ids->id_len = server->quic_id_len;
		if (!server->down)
			ids->ids[ids->count++] = (struct l4_quic_id){ server->quic_id, i };
	}
	qsort(ids->ids, ids->count, sizeof(ids->ids[0]), compare_ids);
	return ids;
}

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* What can be read of the datagram: not what other segments or fragments hold. */
static struct bytes
payload_of(const struct l4_packet *p)
{
	const uint8_t *udp = l4_packet_l4(p);
	uint32_t len, readable;
	uint16_t length_be;

	if (p->flags & L4_PACKET_LATER_FRAGMENT || p->ip_protocol != IPPROTO_UDP ||
	    p->ip_len < p->l3_len + UDP_HEADER_LEN)
		return bytes_of(NULL, 0);
	readable = (uint32_t)(rte_pktmbuf_mtod_offset(p->m, const uint8_t *, p->m->data_len) - udp);
	memcpy(&length_be, udp + UDP_LENGTH_AT, sizeof(length_be));
	len = least(least(readable, (uint32_t)p->ip_len - p->l3_len), rte_be_to_cpu_16(length_be));
	return len < UDP_HEADER_LEN ? bytes_of(NULL, 0) : bytes_of(udp + UDP_HEADER_LEN, len - UDP_HEADER_LEN);
}

/* From its first octet on: whole, except in a short header, which does not say how long it is. */
static struct bytes
connection_id_of(struct bytes packet)
{
	struct bytes id;

	if (packet.len == 0)
		return packet;
	if (!(packet.data[0] & LONG_HEADER))
		return bytes_from(packet, SHORT_ID_AT);
	if (packet.len <= LONG_ID_LEN_AT)
		return bytes_of(NULL, 0);
	id = bytes_from(packet, LONG_ID_LEN_AT + 1);
	if (packet.data[LONG_ID_LEN_AT] > id.len)
		return bytes_of(NULL, 0);
	return bytes_of(id.data, packet.data[LONG_ID_LEN_AT]);
}

static int
find(const struct l4_quic_ids *ids, uint64_t id)
{
	uint32_t low = 0, high = ids->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ids->ids[middle].id == id)
			return (int)ids->ids[middle].server;
		if (ids->ids[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

int
l4_quic_server(const struct l4_quic_ids *ids, const struct l4_packet *packet)
{
	const struct bytes connection_id = connection_id_of(payload_of(packet));
	uint64_t id = 0;

	if (connection_id.len < SERVER_ID_AT + ids->id_len)
		return -1;
	for (uint32_t i = 0; i < ids->id_len; i++)
		id = id << 8 | connection_id.data[SERVER_ID_AT + i];
	return find(ids, id);
}
