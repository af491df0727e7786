/* Clears the settings that a dead sidecar left in the cgroups of its applications. The mounts are those of the container that we share with it. */
#ifndef LEFT_H
#define LEFT_H

#include <stdbool.h>

/*
 * Thaws the cgroups that the records below the folder name. With `throttles` it also restores memory.high, if its value is the
 * sidecar's, and removes the record. Logs each change, and each failure with its cause.
 */
void clear_what_is_left(const char *run, bool throttles);

#endif
