#include "supervise.h"
#include "shared/aborted.h"
#include "shared/report.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct status_file open_status(const char *path)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	if (!slash || !slash[1] || slash - path >= PATH_MAX - 1)
		die(EXIT_LAUNCHER, "--status=%s: the absolute path of a file is needed", path);
	memcpy(directory, path, (size_t)(slash - path) + 1);
	directory[slash - path + 1] = '\0';
	struct status_file status = { .directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC), .name = slash + 1 };
	if (status.directory < 0)
		die(EXIT_LAUNCHER, "open directory %s: %m", directory);
	return status;
}

/* Writes the file under another name first: a reader that finds it finds it complete. */
static bool write_text(const struct status_file *status, const char *text)
{
	char temporary[NAME_MAX + 1];
	size_t length = strlen(text);
	snprintf(temporary, sizeof temporary, ".%.240s.new", status->name);
	int file = openat(status->directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (file < 0) {
		warn("open %s, for the application's code: %m", temporary);
		return false;
	}
	/* The launcher that reads it may run as any user, and the umask may be any. */
	bool written = write(file, text, length) == (ssize_t)length && fchmod(file, 0644) == 0;
	if (!written)
		warn("write the application's code to %s: %m", temporary);
	close(file);
	if (written && renameat(status->directory, temporary, status->directory, status->name) < 0) {
		warn("rename %s to %s: %m", temporary, status->name);
		return false;
	}
	return written;
}

bool write_status(const struct status_file *status, int code)
{
	char text[16];
	snprintf(text, sizeof text, "%d\n", code);
	return write_text(status, text);
}

bool write_aborted(const struct status_file *status)
{
	return write_text(status, STATUS_ABORTED);
}
