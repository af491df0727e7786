/*
 * Each container has a folder below RUN. The sidecar records the throttle of a launcher (sidecar/triggers/memory/throttle.ts) in
 * RUN/CONTAINER/throttle-LIFE, "ORIGINAL OURS...\nFOLDER": the values of memory.high, and the cgroup's folder. A frozen cgroup is thawed:
 * nobody else freezes single containers of a pod.
 */
#include "left.h"
#include "shared/process.h"
#include "shared/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RECORD "throttle-"

/* Each may have gone with its container. */
static bool is_gone(void)
{
	return errno == ENOENT || errno == ENOTDIR || errno == ENODEV;
}

static bool join(char *path, size_t size, const char *folder, const char *name)
{
	return snprintf(path, size, "%s/%s", folder, name) < (int)size;
}

static void each_in(const char *folder, void (*found)(const char *path, const char *name, bool throttles), bool throttles)
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
			found(path, entry->d_name, throttles);
	closedir(opened);
}

/* Its first line. */
static bool read_setting(const char *cgroup, const char *name, char *value, size_t size)
{
	char path[PATH_MAX];
	if (!join(path, sizeof path, cgroup, name) || !read_text_at(AT_FDCWD, path, value, size))
		return false;
	value[strcspn(value, "\n")] = '\0';
	return true;
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

static void thaw(const char *cgroup)
{
	char state[16];
	if (read_setting(cgroup, "cgroup.freeze", state, sizeof state) && strcmp(state, "1") == 0 &&
	    write_setting(cgroup, "cgroup.freeze", "0"))
		warn("an application that a sidecar had left frozen was thawed: %s", cgroup);
}

static bool is_among(const char *word, char *words)
{
	char *rest = words;
	for (char *next; (next = strsep(&rest, " "));)
		if (strcmp(next, word) == 0)
			return true;
	return false;
}

/* A value that somebody else has set since stays. */
static bool put_back(const char *cgroup, const char *original, char *ours)
{
	char stands[64];
	if (!read_setting(cgroup, "memory.high", stands, sizeof stands) || !is_among(stands, ours) ||
	    strcmp(stands, original) == 0 || !write_setting(cgroup, "memory.high", original))
		return false;
	warn("the throttle was removed, since no sidecar watches it: memory.high from %s to %s, %s", stands, original, cgroup);
	return true;
}

static void clear(const char *record, const char *name, bool throttles)
{
	char text[2 * PATH_MAX];
	if (strncmp(name, RECORD, strlen(RECORD)) != 0 || !read_text_at(AT_FDCWD, record, text, sizeof text))
		return;
	char *cgroup = strchr(text, '\n'), *ours = strchr(text, ' ');
	if (!cgroup || cgroup[1] != '/' || !ours || ours > cgroup)
		return;
	*cgroup++ = *ours++ = '\0';
	thaw(cgroup);
	if (throttles && put_back(cgroup, text, ours) && unlink(record) < 0 && errno != ENOENT)
		warn("unlink %s: %m", record);
}

static void clear_below(const char *folder, const char *container, bool throttles)
{
	(void)container;
	each_in(folder, clear, throttles);
}

void clear_what_is_left(const char *run, bool throttles)
{
	each_in(run, clear_below, throttles);
}
