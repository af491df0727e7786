/* Mode lastpid: sets the last PID that the PID namespace gave out; the next process gets the one after it. */
#include "modes.h"
#include "shared/options.h"
#include "shared/report.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* In a container /proc/sys is read-only. A new /proc in a mount namespace of the launcher's own is not. */
int lastpid_mode(char **words)
{
	static const char path[] = "/proc/sys/kernel/ns_last_pid";
	long long number;
	if (!words[0] || words[1] || !parse_number(words[0], &number))
		die(EXIT_LAUNCHER, "usage: launcher lastpid N");
	if (unshare(CLONE_NEWNS) < 0)
		die(EXIT_LAUNCHER, "unshare(CLONE_NEWNS): %m");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die(EXIT_LAUNCHER, "mount / as private: %m");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		die(EXIT_LAUNCHER, "mount proc on /proc: %m");
	int file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0)
		die(EXIT_LAUNCHER, "open %s: %m", path);
	if (write(file, words[0], strlen(words[0])) < 0)
		die(EXIT_LAUNCHER, "write %s to %s: %m", words[0], path);
	return 0;
}
