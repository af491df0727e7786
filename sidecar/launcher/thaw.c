/*
 * What a sidecar froze and no longer lives to let go. Its marks (sidecar/memory/left-frozen.ts) say where: RUN/CONTAINER/frozen,
 * "PID FOLDER". The mounts are those of the container that we share with it.
 */
#include "thaw.h"
#include "process.h"
#include "report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool write_thawed(const char *folder)
{
	char path[PATH_MAX + 16];
	snprintf(path, sizeof path, "%s/cgroup.freeze", folder);
	int file = open(path, O_WRONLY | O_CLOEXEC);
	bool thawed = file >= 0 && write(file, "0", 1) == 1;
	/* Gone with its container. */
	if (!thawed && errno != ENOENT && errno != ENODEV)
		warn("write to %s: %m", path);
	if (file >= 0)
		close(file);
	return thawed;
}

static void thaw_marked(const char *run, const char *container)
{
	char path[PATH_MAX], text[PATH_MAX];
	if (snprintf(path, sizeof path, "%s/%s/frozen", run, container) >= (int)sizeof path ||
	    !read_text_at(AT_FDCWD, path, text, sizeof text))
		return;
	const char *space = strchr(text, ' ');
	if (!space || space[1] != '/' || !write_thawed(space + 1))
		return;
	warn("what a sidecar left frozen was let go: container \"%s\"", container);
	if (unlink(path) < 0 && errno != ENOENT)
		warn("unlink %s: %m", path);
}

void thaw_left_frozen(const char *run)
{
	DIR *folder = opendir(run);
	if (!folder) {
		if (errno != ENOENT)
			warn("open %s: %m", run);
		return;
	}
	for (struct dirent *entry; (entry = readdir(folder));)
		if (entry->d_name[0] != '.')
			thaw_marked(run, entry->d_name);
	closedir(folder);
}
