/* Signals as a queue: all are blocked, and the launcher reads them one by one. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* Every signal, including those that the C library reserves for its threads: an application may use them. */
sigset_t every_signal(void);

void block_signals(void);

/* For a process that is about to execute another program: no signal is blocked or ignored. */
void reset_signals(void);

/* The number of the next pending signal, or 0. Never waits. */
int next_signal(siginfo_t *info);

/* A descriptor that poll reports as readable while a signal is pending; -1 if the kernel or seccomp allows none. */
int signal_descriptor(void);

/* Whether the signal ends a process that has no handler for it. */
bool signal_ends(int number);

/*
 * Whether this is an end signal, as a container runtime sends it. An image may name another one than SIGTERM: httpd's is SIGWINCH,
 * which a terminal sends as well.
 */
bool signal_asks_for_end(const siginfo_t *info);

#endif
