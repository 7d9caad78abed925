/*
 * Capture files: frames in, frames out, with their times. pcap and pcapng are read, with microseconds or nanoseconds;
 * pcap with nanoseconds is written. Ethernet only. One thread.
 */
#ifndef WEIR_REPLAY_CAPTURE_H
#define WEIR_REPLAY_CAPTURE_H

#include <rte_mbuf.h>
#include <stddef.h>
#include <stdint.h>

struct capture_frame {
	uint64_t time_ns;     /* since 1970 */
	const uint8_t *bytes; /* until the next call */
	uint32_t len;         /* that the file has */
	uint32_t wire_len;    /* that were on the wire: more when the capture cut frames off */
};

struct capture_reader;

/* `path` may be "-", standard input. 0, or -errno and a reason that names the file. */
int capture_reader_open(struct capture_reader **out, const char *path, char *error, size_t size);
/* 1 and a frame; 0 at the end; -EIO and a reason where the file breaks off or makes no sense. */
int capture_reader_next(struct capture_reader *reader, struct capture_frame *frame, char *error, size_t size);
void capture_reader_close(struct capture_reader *reader);

struct capture_writer;

/* Replaces the file; "-" is standard output. 0, or -errno and a reason. */
int capture_writer_open(struct capture_writer **out, const char *path, char *error, size_t size);
/* A frame of any number of segments; stays the caller's. What cannot be written is known at the close. */
void capture_writer_add(struct capture_writer *writer, uint64_t time_ns, const struct rte_mbuf *m);
/* 0, or -errno and a reason when not all is in the file (a full disk). */
int capture_writer_close(struct capture_writer *writer, char *error, size_t size);

#endif
