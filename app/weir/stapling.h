/*
 * Asks OCSP responders about our certificates (tls/staple.h): HTTP over the kernel's sockets, in control's thread and without
 * ever waiting there. A few at a time; each has as long as nginx gives it.
 */
#ifndef WEIR_STAPLING_H
#define WEIR_STAPLING_H

#include <stdint.h>

struct stapling;

/* NULL when the kernel refuses. */
struct stapling *stapling_new(void);
/* NULL is fine. */
void stapling_free(struct stapling *stapling);

/* Readable when there is something to do. */
int stapling_fd(const struct stapling *stapling);
/* What has come, what is due, what has timed out. `real_s` is the time of day. */
void stapling_run(struct stapling *stapling, uint64_t now_ns, uint64_t real_s);

#endif
