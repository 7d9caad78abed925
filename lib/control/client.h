/*
 * One connection to the control socket: bytes in, requests out; answers in, bytes out. Never waits. Control thread only.
 */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/request.h"

/* What a stream may be ahead of its reader; answers of other commands are as long as they are. */
#define CONTROL_STREAM_BUFFER 262144

struct control_client {
	int fd; /* -1: the place is free */
	uint64_t deadline_ns;
	char input[CONTROL_LINE_MAX + 2];
	size_t input_len;
	bool input_ended; /* the client will send no more */
	char *output;     /* what it has not taken yet */
	size_t output_len, output_sent;
	bool streaming; /* a command gives it lines; requests wait, silence is allowed */
	bool closing;   /* goes when the output is written */
	bool failed;    /* goes now */
};

void control_client_open(struct control_client *client, int fd, uint64_t now_ns);
void control_client_close(struct control_client *client);

/* Reads what has come. */
void control_client_read(struct control_client *client);
/* The next line, without its newline, good until the next call; NULL: none yet. A last line without a newline counts when the
 * client has ended its side. */
const char *control_client_line(struct control_client *client, size_t *len);
/* A line was longer than requests may be. */
bool control_client_overlong(const struct control_client *client);

/* Puts a line behind the output; the newline is added here. A client that this fails for is marked as failed. */
void control_client_add(struct control_client *client, const char *line, size_t len);
void control_client_answer(struct control_client *client, const json_t *answer);
/* Bytes waiting to be taken. */
size_t control_client_pending(const struct control_client *client);
/* Writes what it takes. Progress gives it more time. */
void control_client_write(struct control_client *client, uint64_t now_ns);

#endif
