#include "base/process.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

static pid_t kept; /* 0: the kernel is asked */

static pid_t
asked(void)
{
	return (pid_t)syscall(SYS_getpid);
}

static void
in_child(void)
{
	kept = asked();
}

void
process_id_keep(void)
{
	if (!kept && pthread_atfork(NULL, NULL, in_child) == 0)
		kept = asked();
}

pid_t
getpid(void)
{
	return kept ? kept : asked();
}
