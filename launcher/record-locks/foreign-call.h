/* A system call in another process, by ptrace(2). */
#ifndef FOREIGN_CALL_H
#define FOREIGN_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Attaches to a process of one thread, or to the first thread. Returns false with errno, and leaves the process alone. */
bool take_process(pid_t pid);

/* Lets it run on with what it was at. */
void leave_process(pid_t pid);

/*
 * Makes it call `number`(first, second, a copy of the bytes), where its next system call would be; that one follows then. Returns what the
 * call returns, negative for an error, which is then in errno.
 */
long call_in_process(pid_t pid, long number, const long words[2], const void *bytes, size_t length);

#endif
