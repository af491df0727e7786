/* Which launcher this is. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stddef.h>

/* The hash in the file's own name, `launcher-HASH12`, which a symbolic link leads to; `unknown` for another name. */
void launcher_hash(char *hash, size_t size);

#endif
