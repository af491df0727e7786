/*
 * Mode lock: holds flock(2) on a file for the sidecar, which has no call for it. The kernel gives the lock back when we die, and
 * we end when the sidecar does (the end of standard input): a dead pod never keeps its lineage.
 */
#include "clock.h"
#include "modes.h"
#include "options.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 50

static void say(const char *word)
{
	if (write(STDOUT_FILENO, word, strlen(word)) < 0)
		die(EXIT_LAUNCHER, "write to standard output: %m");
}

/* Whether standard input has ended; waits for that, at most wait_ms (-1: for ever). */
static int input_ended(int wait_ms)
{
	struct pollfd entry = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;
	int ready = poll(&entry, 1, wait_ms);
	if (ready < 0 && errno != EINTR)
		die(EXIT_LAUNCHER, "poll of standard input: %m");
	return ready > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

int lock_mode(char **words)
{
	long long wait_ms, deadline;
	if (!words[0] || !words[1] || words[2] || !parse_number(words[0], &wait_ms))
		die(EXIT_LAUNCHER, "usage: launcher lock WAIT-MS FILE");
	deadline = now_ms() + wait_ms;
	int file = open(words[1], O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		die(EXIT_LAUNCHER, "open %s: %m", words[1]);
	while (flock(file, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			die(EXIT_LAUNCHER, "flock of %s: %m", words[1]);
		if (now_ms() >= deadline) {
			say("busy\n");
			return 1;
		}
		if (input_ended(LOOK_AGAIN_MS))
			return 1;
	}
	say("held\n");
	while (!input_ended(-1))
		;
	return 0;
}
