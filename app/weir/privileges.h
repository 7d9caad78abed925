/*
 * What the process may still do to its host: less and less of it.
 *
 *     privileges_limit()         before the first other thread: what Weir never does is refused by the kernel from now on
 *     privileges_limit_worker()  on a worker's thread, as the last of its start: no capability, no new file, no new socket
 *
 * All threads have one memory: who has taken over a worker can write to control's. So the limits of the process bind; those
 * of a worker make it harder.
 */
#ifndef WEIR_PRIVILEGES_H
#define WEIR_PRIVILEGES_H

#include "config/config.h"

/*
 * No program is executed any more, no process traced or written to, no kernel module loaded, no clock set, no file system
 * mounted; capabilities(7) that no part of Weir needs are gone. There are no core dumps, as keys would be in them, unless
 * `worker_rlimit_core` asks for them. What the host cannot do is a warning in the error log.
 */
void privileges_limit(struct config *config);

/* For the calling thread alone, unlike the C library's functions: control stays as it is, as nginx's master does. Ids to run
 * as, -1: as control. 0, or -errno when these cannot be taken. */
int privileges_limit_worker(int user, int group);

#endif
