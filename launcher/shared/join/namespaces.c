#include "join.h"
#include "shared/report.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The sidecar executes programs from these folders with all its capabilities, by these names, in the namespaces that it joins. */
static const char *const volume[] = { "/reprieve", "/reprieve/lib", "/reprieve/bin" };
#define VOLUME_PATHS (int)(sizeof volume / sizeof volume[0])

static int open_one(int process, pid_t pid, const char *name)
{
	char path[16];
	snprintf(path, sizeof path, "ns/%s", name);
	int descriptor = openat(process, path, O_RDONLY | O_CLOEXEC);
	if (descriptor < 0)
		die(EXIT_LAUNCHER, "open /proc/%d/%s: %m", (int)pid, path);
	return descriptor;
}

/*
 * Any application may start the launcher and so make the sidecar join its namespaces, but only in a user namespace of its own can it
 * mount its files over the volume. This check comes after the mount namespace is open: no process can leave a user namespace again.
 */
static void refuse_other_user_namespace(int process, pid_t pid)
{
	struct stat own, other;
	int descriptor = open_one(process, pid, "user");
	if (stat("/proc/self/ns/user", &own) < 0 || fstat(descriptor, &other) < 0)
		die(EXIT_LAUNCHER, "stat of the user namespace of process %d: %m", (int)pid);
	if (own.st_dev != other.st_dev || own.st_ino != other.st_ino)
		die(EXIT_LAUNCHER, "process %d is in another user namespace: it may have replaced the files at %s", (int)pid,
		    volume[0]);
	close(descriptor);
}

struct namespaces open_namespaces(pid_t pid)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	/* One descriptor for all: it refers to this process, even if another one gets the PID. */
	int process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		die(EXIT_LAUNCHER, "open %s: %m", path);
	struct namespaces namespaces = {
		.pid = pid,
		.mount = open_one(process, pid, "mnt"),
		.ipc = open_one(process, pid, "ipc"),
		.uts = open_one(process, pid, "uts"),
	};
	refuse_other_user_namespace(process, pid);
	close(process);
	return namespaces;
}

/* Returns false if there is no such path. Does not follow a symbolic link. */
static bool find(const char *path, struct stat *seen)
{
	if (lstat(path, seen) == 0)
		return true;
	if (errno != ENOENT && errno != ENOTDIR)
		die(EXIT_LAUNCHER, "lstat of %s: %m", path);
	return false;
}

static void join_one(const struct namespaces *namespaces, int descriptor, int kind, const char *name)
{
	if (setns(descriptor, kind) < 0)
		die(EXIT_LAUNCHER, "setns to the %s namespace of process %d: %m", name, (int)namespaces->pid);
	close(descriptor);
}

void join_namespaces(const struct namespaces *namespaces)
{
	struct stat before[VOLUME_PATHS], after;
	bool there[VOLUME_PATHS];
	for (int i = 0; i < VOLUME_PATHS; i++)
		there[i] = find(volume[i], &before[i]);
	join_one(namespaces, namespaces->ipc, CLONE_NEWIPC, "ipc");
	join_one(namespaces, namespaces->uts, CLONE_NEWUTS, "uts");
	join_one(namespaces, namespaces->mount, CLONE_NEWNS, "mnt");
	if (chdir("/") < 0)
		die(EXIT_LAUNCHER, "chdir to / of process %d: %m", (int)namespaces->pid);
	for (int i = 0; i < VOLUME_PATHS; i++)
		if (there[i] && (!find(volume[i], &after) || !S_ISDIR(after.st_mode) ||
				 after.st_dev != before[i].st_dev || after.st_ino != before[i].st_ino))
			die(EXIT_LAUNCHER, "%s of process %d is not the shared volume's: nothing there is executed",
			    volume[i], (int)namespaces->pid);
}
