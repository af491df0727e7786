/* Mode enter: runs a command inside another process's container. */
#include "shared/join/join.h"
#include "modes.h"
#include "shared/options.h"
#include "shared/process.h"
#include "shared/report.h"

#include <limits.h>

int enter_mode(char **words)
{
	static const char *const known[] = { "pid=", "cgroup", NULL };
	struct options options = parse_options(words, known);
	long long pid = option_number(&options, "pid", 1, 0);
	if (pid == 0 || pid > INT_MAX || !options.command[0])
		die(EXIT_LAUNCHER, "usage: launcher enter --pid=PID [--cgroup] -- COMMAND [ARG...]");
	struct namespaces namespaces = open_namespaces((pid_t)pid);
	if (option_flag(&options, "cgroup"))
		join_cgroups((pid_t)pid);
	join_namespaces(&namespaces);
	execute_among_strangers(options.command);
}
