/* The root of a started process tree. */
#ifndef INIT_H
#define INIT_H

#include <stdnoreturn.h>

/*
 * Called in a new child with every signal blocked. It starts the command, forwards signals to it, reaps orphans, and exits with the
 * command's code. CRIU dumps this process as the root of the tree, so it is kept simple: three descriptors, no timers, and one system
 * call in which it waits.
 */
noreturn void be_tree_root(char **command);

#endif
