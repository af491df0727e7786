/* The command line that ps shows. */
#ifndef TITLE_H
#define TITLE_H

void title_remember(int argc, char **argv);

/* Replaces the launcher's own words by `name`, before those of the command: `reprieve-init python train.py`. */
void title_set(const char *name, char **command);

#endif
