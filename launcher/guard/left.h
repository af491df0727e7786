/* What a sidecar that died has left in the cgroups of its applications. The mounts are those of the container that we share with it. */
#ifndef LEFT_H
#define LEFT_H

#include <stdbool.h>

/*
 * Thaws the cgroups that the records below the folder name. With `brakes` also puts memory.high back, where what stands is the sidecar's, and
 * removes the record. Says what it did, and says why where it cannot.
 */
void let_go_what_is_left(const char *run, bool brakes);

/* Whether a cgroup that a record names is frozen. */
bool is_any_frozen(const char *run);

#endif
