#ifndef PROVIDE_H
#define PROVIDE_H

/* Puts a copy of this program there, in a folder that is made if need be, unless something is there. Failures are only told. */
void provide_self(const char *path);

#endif
