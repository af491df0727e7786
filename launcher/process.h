/* Small things about processes and their descriptors. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdnoreturn.h>
#include <sys/types.h>

/* As a shell gives it: the status, or 128 + the signal. */
int exit_code_of(int wait_status);

/* Executes with default signals; exits 127 where there is no such command and 126 where it cannot be executed. */
noreturn void execute(char **command);
/* The same for a program that works among another's files: in no language, and with a PATH that leads nowhere. */
noreturn void execute_among_strangers(char **command);

/* Closes every descriptor from 3 on, but those in `kept` (any order, -1 for none). */
void close_descriptors(const int *kept, size_t count);

/* Gives 0, 1 and 2 to /dev/null where they are closed, so that none of ours takes their numbers. */
void secure_stdio(void);

/* A file's first bytes as text, relative to `directory`; false with errno set where it cannot be read. */
bool read_text_at(int directory, const char *path, char *text, size_t size);

/* A process to be watched until it is gone; it need not be a child. */
struct watch {
	pid_t pid;
	int descriptor; /* a pidfd, or -1 where the kernel or seccomp has none */
};

/* False with errno ESRCH where there is no such process. */
bool watch_process(struct watch *watch, pid_t pid);
/* A zombie counts as gone. */
bool watch_is_gone(const struct watch *watch);
void watch_end(struct watch *watch);

#endif
