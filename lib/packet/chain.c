#include "packet/chain.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* Every extension header but AH: a count of 8 bytes beyond the first 8. AH: of 4 beyond the first 8 (RFC 4302 2.2). */
static inline uint32_t
extension_len(uint8_t kind, uint8_t count)
{
	if (kind == IPPROTO_FRAGMENT)
		return 8;
	return kind == IPPROTO_AH ? ((uint32_t)count + 2) * 4 : ((uint32_t)count + 1) * 8;
}

static inline bool
is_extension(uint8_t kind)
{
	return kind == IPPROTO_HOPOPTS || kind == IPPROTO_ROUTING || kind == IPPROTO_FRAGMENT || kind == IPPROTO_AH ||
	       kind == IPPROTO_DSTOPTS;
}

enum packet_verdict
packet_chain_walk(const uint8_t *data, uint32_t offset, uint32_t end, uint8_t next_header, struct packet_chain *chain)
{
	*chain = (struct packet_chain){ 0 };
	for (unsigned int count = 0; is_extension(next_header); count++) {
		const uint8_t *header = data + offset;
		uint32_t len;

		/* Hop-by-hop options only come first (section 4.1). */
		if (count == PACKET_EXTENSION_HEADERS_MAX || (next_header == IPPROTO_HOPOPTS && count > 0))
			return PACKET_DROP_EXTENSION_HEADERS;
		if (offset + 8 > end)
			return PACKET_DROP_TRUNCATED;
		len = extension_len(next_header, header[1]);
		if (offset + len > end)
			return PACKET_DROP_TRUNCATED;
		/* With segments left, the destination is not the last one, and type 0 is forbidden (RFC 5095). */
		if (next_header == IPPROTO_ROUTING && header[3] != 0)
			return PACKET_DROP_EXTENSION_HEADERS;
		if (next_header == IPPROTO_FRAGMENT) {
			uint16_t field_be;

			memcpy(&field_be, header + 2, sizeof(field_be));
			chain->fragment_offset = ntohs(field_be) & 0xfff8;
			chain->fragment |= (ntohs(field_be) & 0xfff9) != 0;
		}
		next_header = header[0];
		offset += len;
		if (chain->fragment_offset > 0)
			break;
	}
	chain->l4_offset = offset;
	chain->protocol = next_header;
	return PACKET_OK;
}
