/*
 * Mode record-locks: sets record locks (fcntl(2), F_SETLK) of other processes. Such a lock belongs to the process that sets it, so that no other
 * can do it for it. Each word is PID:FD:TYPE:START:LENGTH, with the numbers of fcntl.h; those of one process follow each other.
 */
#include "foreign-call.h"
#include "modes.h"
#include "shared/report.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

struct record {
	int pid, fd;
	struct flock lock;
};

static struct record parse(const char *word)
{
	struct record record = { .lock.l_whence = SEEK_SET };
	long long start, length;
	int end = 0;
	sscanf(word, "%d:%d:%hd:%lld:%lld%n", &record.pid, &record.fd, &record.lock.l_type, &start, &length, &end);
	if (end == 0 || word[end] || record.pid <= 0)
		die(EXIT_LAUNCHER, "\"%s\" is not PID:FD:TYPE:START:LENGTH", word);
	record.lock.l_start = start;
	record.lock.l_len = length;
	return record;
}

/* A process that cannot be taken, and a lock that cannot be set, is named. */
int record_locks_mode(char **words)
{
	int taken = 0;
	for (char **word = words; *word; word++)
		parse(*word);
	for (; *words; words++) {
		struct record record = parse(*words);
		if (record.pid != taken) {
			if (taken)
				leave_process(taken);
			taken = take_process(record.pid) ? record.pid : 0;
		}
		if (!taken) {
			warn("ptrace of process %d: %m", record.pid);
			continue;
		}
		const long arguments[2] = { record.fd, F_SETLK };
		if (call_in_process(record.pid, SYS_fcntl, arguments, &record.lock, sizeof record.lock) < 0)
			warn("fcntl of %s: %m", *words);
	}
	if (taken)
		leave_process(taken);
	return 0;
}
