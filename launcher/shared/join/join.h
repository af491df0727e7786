/* Joins another process's container. */
#ifndef JOIN_H
#define JOIN_H

#include <sys/types.h>

/* Descriptors of a process's namespaces, opened while its /proc is visible. */
struct namespaces {
	pid_t pid;
	int mount, ipc, uts;
};

/* Both end the launcher if they fail, or if the process could have replaced the launcher's files by namespaces of its own. */
struct namespaces open_namespaces(pid_t pid);
/* Joins them and changes to their root directory. */
void join_namespaces(const struct namespaces *namespaces);

/*
 * Moves this process into the cgroups of another one, v1 and v2, in a mount namespace of its own. Ends the launcher if it cannot join
 * the memory hierarchy, and warns if it cannot join any other.
 */
void join_cgroups(pid_t pid);

#endif
