/* What ps shows. */
#ifndef TITLE_H
#define TITLE_H

void title_remember(int argc, char **argv);

/* Puts `name` before the command's own words in place of the launcher's: `reprieve-init python train.py`. */
void title_set(const char *name, char **command);

#endif
