/*
 * Mode memory-cgroup: mounts the hierarchy that accounts a process's memory, as that process's cgroup namespace shows it, and
 * prints "VERSION PATH": the path of the process's cgroup below the mount. The mount stays in the caller's mount namespace.
 */
#include "shared/join/cgroups.h"
#include "modes.h"
#include "shared/options.h"
#include "shared/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

/* v2 is last in the list: it accounts memory only if no v1 hierarchy does. */
static void find_memory_hierarchy(pid_t pid, struct hierarchy *found)
{
	static char listing[LISTING_SIZE];
	read_listing(pid, listing);
	for (char *line = strtok(listing, "\n"); line; line = strtok(NULL, "\n")) {
		if (!parse_hierarchy(line, found))
			die(EXIT_LAUNCHER, "\"%s\" in /proc/%d/cgroup does not have the form of cgroups(7)", line, (int)pid);
		if (has_controller(found->controllers, "memory") || !*found->controllers)
			return;
	}
	die(EXIT_LAUNCHER, "process %d is in no cgroup that accounts memory", (int)pid);
}

int memory_cgroup_mode(char **words)
{
	static const char *const known[] = { "pid=", "at=", NULL };
	struct options options = parse_options(words, known);
	long long pid = option_number(&options, "pid", 1, 0);
	const char *at = option_text(&options, "at");
	if (pid == 0 || pid > INT_MAX || !at || options.command[0])
		die(EXIT_LAUNCHER, "usage: launcher memory-cgroup --pid=PID --at=FOLDER");
	if (!enter_view((pid_t)pid))
		die(EXIT_LAUNCHER, "setns to the cgroup namespace of process %lld: %m", pid);
	struct hierarchy hierarchy;
	find_memory_hierarchy((pid_t)pid, &hierarchy);
	/* Earlier mounts: of the container before a restart, or of the sidecar before one. */
	while (umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		continue;
	if (errno != EINVAL)
		die(EXIT_LAUNCHER, "umount %s: %m", at);
	if (!mount_hierarchy(hierarchy.controllers, at))
		return EXIT_LAUNCHER;
	printf("%d %s\n", *hierarchy.controllers ? 1 : 2, hierarchy.path);
	return fflush(stdout) == 0 ? 0 : EXIT_LAUNCHER;
}
