#ifndef PROVIDE_H
#define PROVIDE_H

/* Copies this program to the path, unless something is there, and creates the folder if necessary. Only warns of failures. */
void provide_self(const char *path);

#endif
