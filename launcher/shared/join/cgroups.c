#include "cgroups.h"
#include "join.h"
#include "shared/process.h"
#include "shared/report.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A directory that exists in every container. The mount covers it only in the launcher's own mount namespace. Not /sys/fs/cgroup: with
 * v2 this is the same file system already, and the kernel refuses to mount it on itself (EBUSY, do_add_mount in fs/namespace.c).
 */
#define MOUNT_POINT "/sys"

bool parse_hierarchy(const char *text, struct hierarchy *hierarchy)
{
	if (strlen(text) >= sizeof hierarchy->line)
		return false;
	strcpy(hierarchy->line, text);
	char *first = strchr(hierarchy->line, ':'), *second = first ? strchr(first + 1, ':') : NULL;
	if (!second)
		return false;
	*second = '\0';
	hierarchy->controllers = first + 1;
	hierarchy->path = second + 1;
	return true;
}

void read_listing(pid_t pid, char *text)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
	if (!read_text_at(AT_FDCWD, path, text, LISTING_SIZE))
		die(EXIT_LAUNCHER, "read %s: %m", path);
}

bool enter_view(pid_t pid)
{
	char path[48];
	snprintf(path, sizeof path, "/proc/%d/ns/cgroup", (int)pid);
	int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	if (descriptor < 0)
		return false;
	int result = setns(descriptor, CLONE_NEWCGROUP), error = errno;
	close(descriptor);
	errno = error;
	return result == 0;
}

/*
 * The kernel shows paths from the root of the reader's cgroup namespace, and a mount shows what is below that root. The pod's first
 * process usually sees the whole hierarchy. If its namespace cannot be joined, the launcher's own may be enough. A path above the root
 * ("/../") cannot be reached: the launcher then joins the process's own namespace, where the path is `/`.
 */
static void choose_view(pid_t pid, char *listing)
{
	if (!enter_view(1) && errno != EACCES && errno != EPERM && errno != ENOENT)
		warn("setns to the cgroup namespace of process 1: %m");
	read_listing(pid, listing);
	if (!strstr(listing, ":/.."))
		return;
	if (!enter_view(pid))
		warn("setns to the cgroup namespace of process %d: %m", (int)pid);
	read_listing(pid, listing);
}

bool has_controller(const char *controllers, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = controllers; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
	return false;
}

/* Adds those of a mount's options that belong to the unified hierarchy. */
static void keep_unified_options(const char *from, char *options, size_t size)
{
	static const char *const known[] = { "nsdelegate", "favordynmods", "memory_localevents", "memory_recursiveprot",
					     "memory_hugetlb_accounting", "pids_localevents" };
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (!has_controller(from, known[i]) || has_controller(options, known[i]))
			continue;
		size_t used = strlen(options);
		snprintf(options + used, size - used, "%s%s", used > 0 ? "," : "", known[i]);
	}
}

/*
 * The options of the unified hierarchy apply to the machine, not to one mount: each mount from the first cgroup namespace sets all of
 * them (apply_cgroup_root_flags in kernel/cgroup/cgroup.c). The launcher therefore repeats those that are set.
 */
static void unified_options(char *options, size_t size)
{
	options[0] = '\0';
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	if (!mounts) {
		warn("open /proc/self/mounts: %m");
		return;
	}
	for (struct mntent *entry; (entry = getmntent(mounts));)
		if (strcmp(entry->mnt_type, "cgroup2") == 0)
			keep_unified_options(entry->mnt_opts, options, size);
	endmntent(mounts);
}

bool mount_hierarchy(const char *controllers, const char *at)
{
	const char *type = *controllers ? "cgroup" : "cgroup2";
	char options[256];
	if (!*controllers)
		unified_options(options, sizeof options);
	if (mount(type, at, type, MS_NOSUID | MS_NODEV | MS_NOEXEC, *controllers ? controllers : options) == 0)
		return true;
	warn("mount %s (%s) on %s: %m", type, controllers, at);
	return false;
}

/* Moves this process into the cgroup. Returns whether it is in it afterwards. */
static bool join(const struct hierarchy *hierarchy)
{
	const char *controllers = hierarchy->controllers;
	char path[PATH_MAX + 64];
	bool joined = false;
	if (!mount_hierarchy(controllers, MOUNT_POINT))
		return false;
	/*
	 * The launcher has one thread, so both files have the same effect. But for a thread that moves only itself, the kernel does not
	 * stop every fork and exit on the machine, which takes an RCU grace period (cgroup_procs_write_start). In v2 a thread cannot leave
	 * its process's cgroup.
	 */
	const char *name = *controllers ? "tasks" : "cgroup.procs";
	snprintf(path, sizeof path, "%s%s/%s", MOUNT_POINT, hierarchy->path, name);
	int file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0)
		warn("open %s of %s (%s): %m", name, hierarchy->path, controllers);
	else if (!(joined = write(file, "0", 1) == 1)) /* 0 is the writer itself */
		warn("write to %s of %s (%s): %m", name, hierarchy->path, controllers);
	if (file >= 0)
		close(file);
	if (umount2(MOUNT_POINT, MNT_DETACH) < 0)
		warn("umount %s: %m", MOUNT_POINT);
	return joined;
}

static bool is_ours(const char *own, const char *line)
{
	size_t length = strlen(line);
	for (const char *at = own; (at = strstr(at, line)); at++)
		if ((at == own || at[-1] == '\n') && at[length] == '\n')
			return true;
	return false;
}

static void own_mount_namespace(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		die(EXIT_LAUNCHER, "unshare(CLONE_NEWNS), to mount cgroups: %m");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die(EXIT_LAUNCHER, "mount / as private: %m");
}

void join_cgroups(pid_t pid)
{
	static char listing[LISTING_SIZE], own[LISTING_SIZE];
	struct hierarchy hierarchy;
	bool memory_is_v1 = false;

	choose_view(pid, listing);
	read_listing(getpid(), own);
	own_mount_namespace();
	for (char *line = strtok(listing, "\n"); line; line = strtok(NULL, "\n")) {
		if (!parse_hierarchy(line, &hierarchy))
			die(EXIT_LAUNCHER, "\"%s\" in /proc/%d/cgroup does not have the form of cgroups(7)", line, (int)pid);
		bool unified = !*hierarchy.controllers;
		bool memory = has_controller(hierarchy.controllers, "memory");
		memory_is_v1 |= memory;
		if (is_ours(own, line) || join(&hierarchy))
			continue;
		/* Outside its memory cgroup a restored application would escape its limit. v2 is last in the list. */
		if (memory || (unified && !memory_is_v1))
			die(EXIT_LAUNCHER, "process %d's memory cgroup %s cannot be joined", (int)pid, hierarchy.path);
	}
	/* The application sees its own cgroup namespace, as before. */
	if (!enter_view(pid))
		warn("setns to the cgroup namespace of process %d: %m", (int)pid);
}
