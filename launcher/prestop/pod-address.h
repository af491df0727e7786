/* The pod's own address, to which the kubelet sends HTTP hooks without a host. */
#ifndef POD_ADDRESS_H
#define POD_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

/* The first address of this network namespace that other machines can reach, as text. Returns false if there is none. */
bool pod_address(char *text, size_t size);

#endif
