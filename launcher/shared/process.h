/* Helpers for processes and their descriptors. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdnoreturn.h>
#include <sys/types.h>

/* The exit status, or 128 + the signal, as in a shell. */
int exit_code_of(int wait_status);

/* Executes with default signals. Exits with 127 if there is no such command, and with 126 if it cannot be executed. */
noreturn void execute(char **command);
/* The same for a program that works among another container's files: with LC_ALL=C and a PATH that leads nowhere. */
noreturn void execute_among_strangers(char **command);

/* Closes every descriptor from 3 on but those in `kept` (in any order; -1 is none). */
void close_descriptors(const int *kept, size_t count);

/*
 * The sidecar obeys the launcher, so no process of the same user may trace it or take its descriptors (ptrace(2), PR_SET_DUMPABLE). An
 * execution undoes this.
 */
void refuse_tracers(void);

/* Opens /dev/null as 0, 1 and 2 if they are closed, so that no other descriptor gets these numbers. */
void secure_stdio(void);

/* Reads a file's first bytes as text, relative to `directory`. Returns false with errno if it cannot be read. */
bool read_text_at(int directory, const char *path, char *text, size_t size);

/* A process that the launcher watches until it has ended. It need not be a child. */
struct watch {
	pid_t pid;
	int descriptor; /* a pidfd, or -1 if the kernel or seccomp allows none */
};

/* Returns false with errno ESRCH if there is no such process. */
bool watch_process(struct watch *watch, pid_t pid);
/* A zombie has ended. */
bool watch_is_gone(const struct watch *watch);
void watch_end(struct watch *watch);

#endif
