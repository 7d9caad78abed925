/* `status` and `counters`: what is, without changing anything. */
#ifndef CONTROL_STATUS_H
#define CONTROL_STATUS_H

#include "control/command.h"

int control_status(struct control_call *call);
int control_counters(struct control_call *call);

/* status_text.c */
void control_status_render(const json_t *answer, FILE *out);
void control_counters_render(const json_t *answer, FILE *out);

/* ---- status_services.c, for status.c ---- */

/* Packet-level services and servers that only old flows still use. */
json_t *control_status_services(const struct control_call *call);
json_t *control_status_leaving(const struct control_call *call);
/* "80", "8000-8100", "*" */
void control_ports_format(uint16_t first, uint16_t last, char *out, size_t size);
#define CONTROL_PORTS_TEXT_MAX 16
/* Text of the configuration as JSON: bytes that are no UTF-8 become '?'. */
json_t *control_text(struct bytes text);
json_t *control_endpoint(const struct endpoint *endpoint); /* without its port where that is 0 */
json_t *control_ip(const struct ip_address *ip);

#endif
