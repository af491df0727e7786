#include "join.h"
#include "modes.h"
#include "report.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static int open_one(pid_t pid, const char *name)
{
	char path[48];
	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, name);
	int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	if (descriptor < 0)
		die(EXIT_LAUNCHER, "open %s: %m", path);
	return descriptor;
}

struct namespaces open_namespaces(pid_t pid)
{
	return (struct namespaces){
		.pid = pid,
		.mount = open_one(pid, "mnt"),
		.ipc = open_one(pid, "ipc"),
		.uts = open_one(pid, "uts"),
	};
}

static void join_one(const struct namespaces *namespaces, int descriptor, int kind, const char *name)
{
	if (setns(descriptor, kind) < 0)
		die(EXIT_LAUNCHER, "setns to the %s namespace of process %d: %m", name, (int)namespaces->pid);
	close(descriptor);
}

void join_namespaces(const struct namespaces *namespaces)
{
	join_one(namespaces, namespaces->ipc, CLONE_NEWIPC, "ipc");
	join_one(namespaces, namespaces->uts, CLONE_NEWUTS, "uts");
	join_one(namespaces, namespaces->mount, CLONE_NEWNS, "mnt");
	if (chdir("/") < 0)
		die(EXIT_LAUNCHER, "chdir to / of process %d: %m", (int)namespaces->pid);
}
