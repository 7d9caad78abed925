/* A server for bulk: whatever a connection asks for, it is answered with so many bytes. Requests without a body only. */
#ifndef BENCH_TCP_BLOB_H
#define BENCH_TCP_BLOB_H

#include "tcp/tcp.h"

#define BLOB_CONNECTIONS_MAX 1024

struct blob_connection {
	struct tcp_connection *tcp;
	uint64_t left; /* of the answer under way */
};

struct blob {
	struct tcp_stack *tcp;
	struct tcp_listener listener;
	uint32_t body;
	uint32_t connection_count;
	struct blob_connection connections[BLOB_CONNECTIONS_MAX];
};

void blob_init(struct blob *blob, struct tcp_stack *tcp, const struct endpoint *local, uint32_t body);
void blob_run(struct blob *blob);

#endif
