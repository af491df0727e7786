#include "process.h"
#include "signals.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int exit_code_of(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

static noreturn void execute_with(char **command, char **environment)
{
	reset_signals();
	execvpe(command[0], command, environment);
	die(errno == ENOENT || errno == ENOTDIR ? 127 : 126, "execute \"%s\": %m", command[0]);
}

void execute(char **command)
{
	execute_with(command, environ);
}

void execute_among_strangers(char **command)
{
	/* CRIU runs iptables and sh if PATH has them, and works without. Those of PATH would be the application's own. */
	static char path[] = "PATH=/reprieve/no-programs", language[] = "LC_ALL=C";
	char *environment[] = { path, language, NULL };
	execute_with(command, environment);
}

void refuse_tracers(void)
{
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		warn("prctl(PR_SET_DUMPABLE, 0): %m");
}

void secure_stdio(void)
{
	for (int number = 0; number <= 2; number++)
		if (fcntl(number, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			warn("open /dev/null in place of the closed descriptor %d: %m", number);
}

bool read_text_at(int directory, const char *path, char *text, size_t size)
{
	int file = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file < 0)
		return false;
	size_t used = 0;
	ssize_t got = 1;
	while (used < size - 1 && got != 0) {
		got = read(file, text + used, size - 1 - used);
		if (got < 0 && errno != EINTR) {
			int error = errno;
			close(file);
			errno = error;
			return false;
		}
		used += got > 0 ? (size_t)got : 0;
	}
	text[used] = '\0';
	close(file);
	return true;
}
