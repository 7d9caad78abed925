/* The inside of struct control_server, for server.c and the commands that stream. Not for other rooms. */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <sys/stat.h>

#include "control/client.h"
#include "control/control.h"
#include "control/sample.h"

struct control_trace;

struct control_server {
	struct control_host host;
	int listen_fd, poll_fd;
	char path[CONTROL_PATH_MAX];
	dev_t device; /* of our socket: another's in its place is not removed */
	ino_t inode;
	struct control_client clients[CONTROL_CLIENTS_MAX];
	struct control_sample sample;
	struct control_trace *trace; /* NULL: none is running */
};

#endif
