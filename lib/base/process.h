/*
 * The number of this process, for who asks often: OpenSSL does twice with each piece of randomness, three times in a handshake, to notice
 * that it has been forked. That is six system calls on an lcore.
 *
 * So getpid() is ours, for libraries too. It asks the kernel until process_id_keep() has been called; from then on it says what that found,
 * and in a child of fork() what is true there. As glibc had it before 2.25: a child made by clone(2) itself would hear of its parent.
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

/* Control, before threads start. */
void process_id_keep(void);

#endif
