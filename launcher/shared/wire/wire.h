/* The socket to the sidecar. It never blocks: if the sidecar hangs, the launcher must not. */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>

/* A message with its line feed, or with a terminating zero instead. */
#define MESSAGE_SIZE 4096
#define MESSAGE_PAIRS 64

struct wire {
	int descriptor; /* -1 when there is no connection */
	char in[MESSAGE_SIZE];
	size_t in_used;
	char out[2 * MESSAGE_SIZE];
	size_t out_used;
	bool ended; /* the other side has closed; its last messages may still be in `in` */
};

struct message {
	char line[MESSAGE_SIZE];
	const char *verb;
	const char *pairs[MESSAGE_PAIRS];
	int count;
};

enum arrival { ARRIVED_NOTHING, ARRIVED_MESSAGE, ARRIVED_GARBAGE };

/* `$REPRIEVE_SOCKET`, or the path in the shared volume. */
const char *wire_path(void);
/* Returns false with errno if the sidecar does not accept at once. */
bool wire_connect(struct wire *wire);
void wire_close(struct wire *wire);
bool wire_is_open(const struct wire *wire);

/* Queues a message and sends as much as the socket takes. Closes the connection if the queue is full. */
void wire_say(struct wire *wire, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sends as much as the socket takes. Closes a broken connection. */
void wire_flush(struct wire *wire);
/* The events to poll for. */
short wire_events(const struct wire *wire);
/* Reads once. Returns false if the connection has ended and nothing of it is left to read. */
bool wire_receive(struct wire *wire);
/* The next complete message. */
enum arrival wire_next(struct wire *wire, struct message *message);

/* NULL if the key is missing. */
const char *message_text(const struct message *message, const char *key);
bool message_number(const struct message *message, const char *key, long long *number);

#endif
