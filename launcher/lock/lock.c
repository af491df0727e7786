/*
 * Mode lock: takes flock(2) on a file for the sidecar, because Node has no call for it. The kernel frees the lock when the launcher
 * ends, and the launcher ends with the sidecar (the end of standard input): a dead pod never keeps its slot lock.
 */
#include "shared/clock.h"
#include "modes.h"
#include "shared/options.h"
#include "shared/report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 50

static void say(const char *word)
{
	if (write(STDOUT_FILENO, word, strlen(word)) < 0)
		die(EXIT_LAUNCHER, "write to standard output: %m");
}

/* Waits for the end of standard input, at most wait_ms (-1: without a deadline). Returns whether it has ended. */
static int input_ended(int wait_ms)
{
	struct pollfd entry = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;
	int ready = poll(&entry, 1, wait_ms);
	if (ready < 0 && errno != EINTR)
		die(EXIT_LAUNCHER, "poll of standard input: %m");
	return ready > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

/* A sweep removes the slot of a lineage that nobody used: a lock on its old file would keep nobody out. */
static int is_still_there(int file, const char *path)
{
	struct stat locked, named;
	return fstat(file, &locked) == 0 && lstat(path, &named) == 0 && locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
}

/* An NFS server may keep this waiting, and to create a file keeps every other process of the node out of its folder meanwhile. */
static int open_file(const char *path)
{
	int file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0 && errno == ENOENT)
		file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return file;
}

int lock_mode(char **words)
{
	long long wait_ms, deadline;
	if (!words[0] || !words[1] || words[2] || !parse_number(words[0], &wait_ms))
		die(EXIT_LAUNCHER, "usage: launcher lock WAIT-MS FILE");
	deadline = now_ms() + wait_ms;
	int file = open_file(words[1]);
	if (file < 0)
		die(EXIT_LAUNCHER, "open %s: %m", words[1]);
	for (;;) {
		if (file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0) {
			if (is_still_there(file, words[1]))
				break;
			close(file);
			file = open_file(words[1]);
			if (file >= 0)
				continue;
		} else if (file >= 0 && errno != EWOULDBLOCK && errno != EINTR) {
			die(EXIT_LAUNCHER, "flock of %s: %m", words[1]);
		}
		/* Without its folder the file cannot be made again: whoever asked makes the folder, and asks again. */
		if (file < 0 || now_ms() >= deadline) {
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
