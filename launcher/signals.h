/* Signals as a queue: all are blocked, and read one by one. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* Every signal, those included that the C library keeps for its threads: they are an application's to use. */
sigset_t every_signal(void);

void block_signals(void);

/* For a process that is about to execute someone else's program: nothing blocked, nothing ignored. */
void reset_signals(void);

/* The next pending signal's number, 0 when there is none. Never waits. */
int next_signal(siginfo_t *info);

/* A descriptor that poll reports readable while a signal is pending; -1 where the kernel or seccomp has none. */
int signal_descriptor(void);

/* Whether a process that has no handler for it would end. */
bool signal_ends(int number);

/*
 * Whether it asks for the end: what a container runtime sends. An image may name another signal than SIGTERM; httpd's is
 * SIGWINCH, which a terminal sends of itself, too.
 */
bool signal_asks_for_end(const siginfo_t *info);

#endif
