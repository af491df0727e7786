/* What the files of mode supervise share. */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* family.c: about this process's children, seen through a descriptor of /proc that outlives the mount namespace. */
struct family {
	int proc;
	int wakeup; /* signal descriptor */
};

/* Up to `size` children; their number, -1 with errno set where it cannot be known. */
int list_children(const struct family *family, pid_t *children, int size);
/* Kills every descendant: as child subreaper we inherit those whose parents died. Bounded in time; false where some live on. */
bool kill_descendants(const struct family *family);

/* stdio.c: opens the target's descriptors named in `list` ("0,1,2") as 100, 101, 102, to be inherited. */
void open_stdio(pid_t pid, const char *list);

/* status-file.c: where the code goes, named by a directory that is opened before the namespaces change. */
struct status_file {
	int directory;
	const char *name;
};

struct status_file open_status(const char *path);
bool write_status(const struct status_file *status, int code);
/* In the code's place: the tree was broken off before it went on, and nothing of it lives. */
#define STATUS_ABORTED "aborted\n"
bool write_aborted(const struct status_file *status);

#endif
