/* What a sidecar that died has left in the cgroups of its applications. The mounts are those of the container that we share with it. */
#ifndef LEFT_H
#define LEFT_H

/* Lets go what the marks below the folder name, and removes the marks; says so, and says why where it cannot. */
void thaw_left_frozen(const char *run);

/* Puts memory.high back to what the records below the folder name, where what stands is theirs; says so, and says why where it cannot. */
void put_back_left_brakes(const char *run);

#endif
