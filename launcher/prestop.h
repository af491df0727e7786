/* What the files of mode prestop share. */
#ifndef PRESTOP_H
#define PRESTOP_H

#include "options.h"
#include "wire.h"

/* The kubelet ends a hook with the pod's grace period; this is only so that nothing waits for ever. */
#define HOOK_LONGEST_MS (30 * 60 * 1000)

/* Waits for the sidecar's next word until the deadline; false when none can come any more. */
bool prestop_hear(struct wire *wire, long long deadline_ms, struct message *message);

/* http-get.c: 0 when the answer's status was 200 to 399, else 1. */
int http_get(const struct options *options, const char *url);

/* https-get.c: the same by way of the sidecar, for https. */
int https_get(const struct options *options, const char *url, struct wire *wire);

#endif
