/* What is known of a process's cgroups, and how a hierarchy is mounted without changing the machine's. */
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

/* False for a line that is none. */
bool parse_hierarchy(const char *text, struct hierarchy *hierarchy);
/* The text of /proc/PID/cgroup, at most LISTING_SIZE bytes of it; ends the launcher where it cannot be read. */
void read_listing(pid_t pid, char *text);
/* Joins the process's cgroup namespace. False with errno set; one that is ours already is joined without harm. */
bool enter_view(pid_t pid);
/* Whether the name is one of a comma list. */
bool has_controller(const char *controllers, const char *name);
/* Mounts a hierarchy ("" is v2) as our cgroup namespace shows it. Says why where it returns false. */
bool mount_hierarchy(const char *controllers, const char *at);

#endif
