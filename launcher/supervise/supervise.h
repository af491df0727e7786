/* Shared by the files of mode supervise. */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* family.c: this process's children, through a descriptor of /proc that works in any mount namespace. */
struct family {
	int proc;
	int wakeup; /* signal descriptor */
};

/* Lists up to `size` children. Returns their number, or -1 with errno. */
int list_children(const struct family *family, pid_t *children, int size);
/* Kills every descendant, within a deadline: a child subreaper inherits those whose parents end. Returns false if some still live. */
bool kill_descendants(const struct family *family);

/* stdio.c: opens those of the target's descriptors that `list` names ("0,1,2") as 100, 101, 102, for the command to inherit. */
void open_stdio(pid_t pid, const char *list);

/* status-file.c: the file for the code, below a directory that is opened before the namespaces change. */
struct status_file {
	int directory;
	const char *name;
};

struct status_file open_status(const char *path);
bool write_status(const struct status_file *status, int code);
bool write_aborted(const struct status_file *status);

#endif
