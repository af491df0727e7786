/*
 * Each container has a folder below RUN. Its mark of what was frozen (sidecar/triggers/memory/left-frozen.ts) is RUN/CONTAINER/frozen, "PID FOLDER";
 * its record of a brake (sidecar/triggers/memory/brake.ts) is RUN/CONTAINER/brake-LIFE, "ORIGINAL OURS...\nFOLDER". FOLDER is the cgroup's.
 */
#include "left.h"
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

#define RECORD "brake-"

/* Each may have gone with its container. */
static bool is_gone(void)
{
	return errno == ENOENT || errno == ENOTDIR || errno == ENODEV;
}

static bool join(char *path, size_t size, const char *folder, const char *name)
{
	return snprintf(path, size, "%s/%s", folder, name) < (int)size;
}

static void each_in(const char *folder, void (*found)(const char *path, const char *name))
{
	char path[PATH_MAX];
	DIR *opened = opendir(folder);
	if (!opened) {
		if (!is_gone())
			warn("open %s: %m", folder);
		return;
	}
	for (struct dirent *entry; (entry = readdir(opened));)
		if (entry->d_name[0] != '.' && join(path, sizeof path, folder, entry->d_name))
			found(path, entry->d_name);
	closedir(opened);
}

static bool write_setting(const char *cgroup, const char *name, const char *value)
{
	char path[PATH_MAX];
	if (!join(path, sizeof path, cgroup, name))
		return false;
	int file = open(path, O_WRONLY | O_CLOEXEC);
	bool written = file >= 0 && write(file, value, strlen(value)) == (ssize_t)strlen(value);
	if (!written && !is_gone())
		warn("write to %s: %m", path);
	if (file >= 0)
		close(file);
	return written;
}

static void forget(const char *path)
{
	if (unlink(path) < 0 && errno != ENOENT)
		warn("unlink %s: %m", path);
}

static void thaw(const char *folder, const char *container)
{
	char path[PATH_MAX], text[PATH_MAX];
	if (!join(path, sizeof path, folder, "frozen") || !read_text_at(AT_FDCWD, path, text, sizeof text))
		return;
	const char *space = strchr(text, ' ');
	if (!space || space[1] != '/' || !write_setting(space + 1, "cgroup.freeze", "0"))
		return;
	warn("what a sidecar left frozen was let go: container \"%s\"", container);
	forget(path);
}

void thaw_left_frozen(const char *run)
{
	each_in(run, thaw);
}

static bool is_among(const char *word, char *words)
{
	char *rest = words;
	for (char *next; (next = strsep(&rest, " "));)
		if (strcmp(next, word) == 0)
			return true;
	return false;
}

static void put_back(const char *record, const char *name)
{
	char text[2 * PATH_MAX], path[PATH_MAX], stands[64];
	if (strncmp(name, RECORD, strlen(RECORD)) != 0 || !read_text_at(AT_FDCWD, record, text, sizeof text))
		return;
	char *cgroup = strchr(text, '\n'), *ours = strchr(text, ' ');
	if (!cgroup || cgroup[1] != '/' || !ours || ours > cgroup)
		return;
	*cgroup++ = *ours++ = '\0';
	if (!join(path, sizeof path, cgroup, "memory.high") || !read_text_at(AT_FDCWD, path, stands, sizeof stands))
		return;
	stands[strcspn(stands, "\n")] = '\0';
	/* What somebody else has set since is theirs. */
	if (!is_among(stands, ours) || strcmp(stands, text) == 0 || !write_setting(cgroup, "memory.high", text))
		return;
	warn("the brake was put back, since nobody looks after it: memory.high from %s to %s, %s", stands, text, cgroup);
	forget(record);
}

static void put_back_of(const char *folder, const char *container)
{
	(void)container;
	each_in(folder, put_back);
}

void put_back_left_brakes(const char *run)
{
	each_in(run, put_back_of);
}
