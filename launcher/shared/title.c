#include "title.h"
#include "report.h"

#include <string.h>
#include <sys/prctl.h>

/* The kernel stores the words of a command line end to end, and /proc/PID/cmdline reads them from there. */
static char *first, *end;

void title_remember(int argc, char **argv)
{
	if (argc == 0)
		return;
	first = argv[0];
	end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
}

void title_set(const char *name, char **command)
{
	size_t length = strlen(name) + 1;
	if (prctl(PR_SET_NAME, name) < 0)
		warn("prctl(PR_SET_NAME, %s): %m", name);
	if (command[0] < first + length || command[0] >= end)
		return;
	size_t words = (size_t)(end - command[0]);
	memmove(first + length, command[0], words);
	memcpy(first, name, length);
	memset(first + length + words, 0, (size_t)(end - first) - length - words);
}
