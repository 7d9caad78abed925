/*
 * What must hold for every connection between two rounds, whatever was received. Ends the program when it does not.
 */
#ifndef TCP_CHECK_H
#define TCP_CHECK_H

#include "tcp/tcp.h"

void tcp_check_connection(const struct tcp_connection *c);
/* All that the stack knows of, by its table. */
void tcp_check_stack(const struct tcp_stack *stack);

#endif
