/*
 * What the files of the log share: log_file.c (descriptors and their buffers), log_writer.c (rings and the writer
 * thread), log.c (lines). Not for other rooms.
 */
#ifndef BASE_LOG_INTERNAL_H
#define BASE_LOG_INTERNAL_H

#include "base/log.h"

/* Standard error, open for ever. */
struct log_file *log_file_stderr(void);

/* Appends to the file's buffer and, with `flush`, offers all of it to the kernel. False: dropped and counted. */
bool log_file_append(struct log_file *file, const void *line, size_t len, bool flush);

/* Offers what is buffered in every file to the kernel. Returns how many bytes went; `left`: some did not. */
size_t log_files_flush(bool *left);

/* Closes files without users. Between the two calls the rings must be drained: what was queued for a file before it lost
 * its last user is then in its buffer. Unless `at_once`, a slow reader gets a second more. */
void log_files_close_begin(void);
void log_files_close_end(bool at_once);

/* Drops and counts what is still buffered. */
void log_files_discard(void);

/* Lines lost by files, that is, not by rings. */
uint64_t log_files_dropped(void);

/* True when the calling thread has a ring. Then log_ring_write() says whether the line went in. */
bool log_ring_attached(void);
bool log_ring_write(struct log_file *file, const void *line, size_t len);
/* Process and thread of the calling thread, as noted when it was attached. */
void log_ring_ids(int *pid, int *tid);

/* Drains and closes here and now unless the writer thread runs, which does it by itself. */
void log_writer_settle(void);

#endif
