#include "supervise.h"
#include "shared/clock.h"
#include "shared/process.h"
#include "shared/report.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_MS 10000
#define LOOK_AGAIN_MS 10

int list_children(const struct family *family, pid_t *children, int size)
{
	char path[64], text[8192];
	int count = 0;
	snprintf(path, sizeof path, "%d/task/%d/children", (int)getpid(), (int)getpid());
	if (!read_text_at(family->proc, path, text, sizeof text))
		return -1;
	for (char *at = text, *next; count < size; at = next) {
		long pid = strtol(at, &next, 10);
		if (next == at)
			break;
		children[count++] = (pid_t)pid;
	}
	return count;
}

bool kill_descendants(const struct family *family)
{
	pid_t children[256];
	long long deadline = now_ms() + KILL_MS;
	while (now_ms() < deadline) {
		int count = list_children(family, children, 256);
		if (count < 0)
			warn("read the list of children in /proc: %m");
		for (int i = 0; i < count; i++)
			if (kill(children[i], SIGKILL) < 0 && errno != ESRCH)
				warn("kill(%d, SIGKILL), a process of an incomplete restore: %m", (int)children[i]);
		pid_t dead;
		while ((dead = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (dead < 0 && errno == ECHILD)
			return true;
		sleep_ms(LOOK_AGAIN_MS);
	}
	warn("processes of an incomplete restore still live %d ms after SIGKILL", KILL_MS);
	return false;
}
