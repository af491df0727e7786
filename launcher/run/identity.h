/* The version of this launcher. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stddef.h>

/* The hash in the file's name, `launcher-HASH12`, to which a symbolic link leads; `unknown` for any other name. */
void launcher_hash(char *hash, size_t size);

#endif
