/* The root of a started tree. */
#ifndef INIT_H
#define INIT_H

#include <stdnoreturn.h>

/*
 * Called in a fresh child with every signal blocked. Starts the command, forwards signals to it, reaps orphans, and
 * exits with the command's code. Every dump has this process for its root, so it is as plain as a process can be:
 * three descriptors, no timers, one system call that it waits in.
 */
noreturn void be_tree_root(char **command);

#endif
