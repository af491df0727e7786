/* criu-hook: CRIU's --action-script. The sidecar hears of each stage of a dump or restore, and has a say in it. */
#include "clock.h"
#include "modes.h"
#include "report.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIDECAR 3
/* A sidecar that dies closes the socket; this is for one that hangs. */
#define ANSWER_MS (30 * 60 * 1000)

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

int hook_mode(void)
{
	const char *action = getenv("CRTOOLS_SCRIPT_ACTION");
	long long deadline = now_ms() + ANSWER_MS;
	char line[16] = "";
	size_t used = 0;
	if (!action)
		die(1, "criu-hook is for CRIU, which sets CRTOOLS_SCRIPT_ACTION");
	signal(SIGPIPE, SIG_IGN);
	say(action);
	while (used < sizeof line - 1 && !memchr(line, '\n', used)) {
		struct pollfd entry = { .fd = SIDECAR, .events = POLLIN };
		int ready = poll(&entry, 1, poll_timeout_ms(deadline));
		if (ready == 0)
			die(1, "no answer from the sidecar at %s", action);
		ssize_t got = ready < 0 ? -1 : read(SIDECAR, line + used, 1);
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			die(1, "read from descriptor %d at %s: %m", SIDECAR, action);
		if (got == 0)
			die(1, "the sidecar is gone at %s", action);
		used += got > 0 ? 1 : 0;
	}
	return strcmp(line, "go\n") == 0 ? 0 : 1;
}
