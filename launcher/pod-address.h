/* The pod's own address, as the kubelet knows it. */
#ifndef POD_ADDRESS_H
#define POD_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

/* The first address of this network namespace that others can reach, as text; false where there is none. */
bool pod_address(char *text, size_t size);

#endif
