#include "identity.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* The path comes from the kernel, which executed it: the container may have no /proc. */
void launcher_hash(char *hash, size_t size)
{
	char target[PATH_MAX];
	const char *path = (const char *)getauxval(AT_EXECFN);
	if (!path)
		path = "";
	ssize_t length = readlink(path, target, sizeof target - 1);
	if (length >= 0) {
		target[length] = '\0';
		path = target;
	}
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	bool named = strncmp(name, "launcher-", 9) == 0 && strlen(name) == 9 + 12;
	snprintf(hash, size, "%s", named ? name + 9 : "unknown");
}
