/* Becoming a part of another process's container. */
#ifndef JOIN_H
#define JOIN_H

#include <sys/types.h>

/* Descriptors of a process's namespaces, taken while its /proc can still be seen. */
struct namespaces {
	pid_t pid;
	int mount, ipc, uts;
};

/* Both end the launcher where they fail, or where the process has made namespaces of its own to deceive us. */
struct namespaces open_namespaces(pid_t pid);
/* Joins them and changes to their root directory. */
void join_namespaces(const struct namespaces *namespaces);

/*
 * Moves this process into the cgroups of another, v1 and v2, in a mount namespace of its own. Ends the launcher where
 * the memory hierarchy cannot be joined; warns of any other.
 */
void join_cgroups(pid_t pid);

#endif
