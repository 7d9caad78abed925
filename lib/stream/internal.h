/* What the files of this room share. */
#ifndef STREAM_INTERNAL_H
#define STREAM_INTERNAL_H

#include "stream/stream.h"

/* ---- listen.c ---- */

int stream_listen_set(struct config_directive_call *call);

#endif
