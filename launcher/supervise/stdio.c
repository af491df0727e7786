#include "supervise.h"
#include "shared/report.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INHERITED_BASE 100

/*
 * Opens a pipe again through /proc, without a wait for its other end, then makes it blocking as it was. What /proc cannot open (a
 * socket: ENXIO) is taken from the process with pidfd_getfd.
 */
static int open_one(pid_t pid, int number)
{
	char path[48];
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, number);
	int descriptor = open(path, (number == 0 ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (descriptor >= 0) {
		int flags = fcntl(descriptor, F_GETFL);
		if (flags < 0 || fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) < 0)
			die(EXIT_LAUNCHER, "fcntl of %s: %m", path);
		return descriptor;
	}
	int process = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process >= 0) {
		descriptor = (int)syscall(SYS_pidfd_getfd, process, number, 0);
		close(process);
	}
	if (descriptor < 0)
		die(EXIT_LAUNCHER, "open %s: %m", path);
	return descriptor;
}

void open_stdio(pid_t pid, const char *list)
{
	for (const char *at = list; *at; at += at[1] == ',' ? 2 : 1) {
		if (*at < '0' || *at > '2' || (at[1] != ',' && at[1] != '\0') || (at[1] == ',' && at[2] == '\0'))
			die(EXIT_LAUNCHER, "--stdio=%s: some of 0,1,2 are needed", list);
		int number = *at - '0', descriptor = open_one(pid, number);
		if (dup2(descriptor, INHERITED_BASE + number) < 0)
			die(EXIT_LAUNCHER, "dup2 to descriptor %d: %m", INHERITED_BASE + number);
		close(descriptor);
	}
}
