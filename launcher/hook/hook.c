/* Mode criu-hook: CRIU's --action-script. It reports each stage of a dump or restore to the sidecar, which answers go or abort. */
#include "shared/clock.h"
#include "modes.h"
#include "shared/report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIDECAR 3
/* A sidecar that dies closes the socket. One that hangs sends nothing, and must not keep the application stopped. */
/* @deadline The sidecar hangs while CRIU stops the application | CRIU gives up, and the application continues */
#define SILENCE_MS (10 * 1000)
/* For all of its `wait`s together. */
#define ANSWER_MS (30 * 60 * 1000)

/* CRIU closes all descriptors of a script but 0, 1 and 2 (cr_system_userns, criu/util.c): the hook takes its socket from CRIU. */
static void take_descriptor(void)
{
	pid_t parent = getppid();
	int process, taken;
	/* If CRIU is killed, the hook must not keep the sidecar's socket open. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		die(1, "prctl(PR_SET_PDEATHSIG): %m");
	if (getppid() != parent)
		die(1, "CRIU is gone");
	if (fcntl(SIDECAR, F_GETFD) >= 0)
		return;
	process = (int)syscall(SYS_pidfd_open, parent, 0);
	if (process < 0)
		die(1, "pidfd_open of CRIU, process %d: %m", parent);
	taken = (int)syscall(SYS_pidfd_getfd, process, SIDECAR, 0);
	if (taken < 0)
		die(1, "pidfd_getfd of descriptor %d of CRIU, process %d: %m", SIDECAR, parent);
	if (taken != SIDECAR && dup2(taken, SIDECAR) < 0)
		die(1, "dup2 of descriptor %d: %m", taken);
}

static void say(const char *action)
{
	char line[256];
	const char *pid = getenv("CRTOOLS_INIT_PID");
	int length = snprintf(line, sizeof line, "%s pid=%s\n", action, pid && *pid ? pid : "0");
	if (length < 0 || (size_t)length >= sizeof line)
		die(1, "CRTOOLS_SCRIPT_ACTION is too long for a message");
	if (write(SIDECAR, line, (size_t)length) != length)
		die(1, "write to descriptor %d at %s: %m", SIDECAR, action);
}

/* Reads one line, at most `size` - 1 bytes of it. */
static void hear(const char *action, char *line, size_t size, long long deadline)
{
	size_t used = 0;
	memset(line, 0, size);
	while (used < size - 1 && !memchr(line, '\n', used)) {
		struct pollfd entry = { .fd = SIDECAR, .events = POLLIN };
		int ready = poll(&entry, 1, poll_timeout_ms(deadline));
		if (ready == 0)
			die(1, "no word from the sidecar at %s", action);
		ssize_t got = ready < 0 ? -1 : read(SIDECAR, line + used, 1);
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			die(1, "read from descriptor %d at %s: %m", SIDECAR, action);
		if (got == 0)
			die(1, "the sidecar is gone at %s", action);
		used += got > 0 ? 1 : 0;
	}
}

int hook_mode(void)
{
	const char *action = getenv("CRTOOLS_SCRIPT_ACTION");
	long long latest = now_ms() + ANSWER_MS;
	char line[16];
	if (!action)
		die(1, "criu-hook is for CRIU, which sets CRTOOLS_SCRIPT_ACTION");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		die(1, "signal(SIGPIPE): %m");
	take_descriptor();
	say(action);
	do
		hear(action, line, sizeof line, earlier_ms(now_ms() + SILENCE_MS, latest));
	while (strcmp(line, "wait\n") == 0);
	return strcmp(line, "go\n") == 0 ? 0 : 1;
}
