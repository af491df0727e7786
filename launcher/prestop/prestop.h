/* Shared by the files of mode prestop. */
#ifndef PRESTOP_H
#define PRESTOP_H

#include "shared/options.h"
#include "shared/wire/wire.h"

/* The kubelet ends a hook at the end of the grace period. This bound is for the case that it does not. */
#define HOOK_LONGEST_MS (30 * 60 * 1000)

/* Waits until the deadline for the sidecar's next message. Returns false if none can come any more. */
bool prestop_hear(struct wire *wire, long long deadline_ms, struct message *message);

/* http-get.c: returns 0 if the status of the answer is 200 to 399, else 1. */
int http_get(const struct options *options, const char *url);

/* https-get.c: the same for https, through the sidecar. */
int https_get(const struct options *options, const char *url, struct wire *wire);

#endif
