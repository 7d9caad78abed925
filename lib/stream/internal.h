/* What the files of this room share. */
#ifndef STREAM_INTERNAL_H
#define STREAM_INTERNAL_H

#include "stream/stream.h"

/* ---- listen.c ---- */

int stream_listen_set(struct config_directive_call *call);
/* The same port twice, of whichever kinds. 0, or -EINVAL after config_fail_at(). */
int stream_listens_check(struct config *config, const struct stream_settings *stream);

#endif
