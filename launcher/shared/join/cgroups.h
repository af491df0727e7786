/* Reads a process's cgroups, and mounts a hierarchy without a change to that of the machine. */
#ifndef CGROUPS_H
#define CGROUPS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define LISTING_SIZE 16384

/* One line of /proc/PID/cgroup, "ID:CONTROLLERS:PATH": cgroups(7). */
struct hierarchy {
	char line[PATH_MAX + 256];
	const char *controllers; /* empty for v2 */
	const char *path;
};

/* Returns false if the text is no such line. */
bool parse_hierarchy(const char *text, struct hierarchy *hierarchy);
/* The text of /proc/PID/cgroup, at most LISTING_SIZE bytes of it. Ends the launcher if it cannot be read. */
void read_listing(pid_t pid, char *text);
/* Joins the process's cgroup namespace, which may be the launcher's own. Returns false with errno if it cannot. */
bool enter_view(pid_t pid);
/* Whether a list that is separated by commas contains the name. */
bool has_controller(const char *controllers, const char *name);
/* Mounts a hierarchy ("" is v2) as the launcher's cgroup namespace shows it. Warns before it returns false. */
bool mount_hierarchy(const char *controllers, const char *at);

#endif
