/* `weir -s SIGNAL`: another weir is told to stop, quit, reopen its logs or reload. */
#ifndef WEIR_SIGNAL_COMMAND_H
#define WEIR_SIGNAL_COMMAND_H

/*
 * Reads the process id from pid_path and sends the signal of that name ("stop", "quit", "reopen", "reload"). 0 or -errno;
 * what went wrong is in the error log, in nginx's words.
 */
int signal_command_send(const char *pid_path, const char *signal_name);

#endif
