#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

bool watch_process(struct watch *watch, pid_t pid)
{
	watch->pid = pid;
	watch->descriptor = -1;
	if (kill(pid, 0) < 0 && errno == ESRCH)
		return false;
	/* A pidfd is close-on-exec, see pidfd_open(2). Without one, watch_is_gone checks the PID each time. */
	watch->descriptor = (int)syscall(SYS_pidfd_open, pid, 0);
	return true;
}

/* The launcher's one reader of /proc/PID/stat. The state follows the name, which may contain any character: proc_pid_stat(5). */
static bool is_zombie(pid_t pid)
{
	char path[32], text[512];
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (!read_text_at(AT_FDCWD, path, text, sizeof text))
		return false;
	const char *end = strrchr(text, ')');
	return end && end[1] == ' ' && (end[2] == 'Z' || end[2] == 'X');
}

bool watch_is_gone(const struct watch *watch)
{
	if (watch->descriptor >= 0) {
		struct pollfd entry = { .fd = watch->descriptor, .events = POLLIN };
		return poll(&entry, 1, 0) > 0;
	}
	return (kill(watch->pid, 0) < 0 && errno == ESRCH) || is_zombie(watch->pid);
}

void watch_end(struct watch *watch)
{
	if (watch->descriptor >= 0)
		close(watch->descriptor);
	watch->descriptor = -1;
}
