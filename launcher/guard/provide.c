/*
 * A protected container starts with this file and cannot start without it. It must therefore exist even if the program that installs
 * the other files fails.
 */
#include "provide.h"
#include "shared/report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static bool copy_self(const char *path)
{
	struct stat self;
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = -1;
	bool copied = false;
	if (from < 0 || fstat(from, &self) < 0)
		warn("open /proc/self/exe: %m");
	else if ((to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755)) < 0)
		warn("open %s: %m", path);
	else if (sendfile(to, from, NULL, (size_t)self.st_size) != self.st_size || fchmod(to, 0755) < 0)
		warn("copy /proc/self/exe to %s: %m", path);
	else
		copied = true;
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return copied;
}

void provide_self(const char *path)
{
	char text[PATH_MAX];
	const char *slash = strrchr(path, '/');
	if (!slash || slash == path || strlen(path) > sizeof text - 8) {
		warn("--provide=%s: the path of a file in a folder is needed", path);
		return;
	}
	snprintf(text, sizeof text, "%.*s", (int)(slash - path), path);
	if (mkdir(text, 0755) < 0 && errno != EEXIST)
		warn("mkdir %s: %m", text);
	snprintf(text, sizeof text, "%s.new", path);
	/* link(2) never replaces a file, which may be in use. */
	if (access(path, F_OK) < 0 && copy_self(text) && link(text, path) < 0 && errno != EEXIST)
		warn("link %s: %m", path);
	if (unlink(text) < 0 && errno != ENOENT && errno != EROFS)
		warn("unlink %s: %m", text);
}
