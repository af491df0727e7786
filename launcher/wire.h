/* The socket to the sidecar, never blocking: a sidecar that hangs must not hang anything of ours. */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>

/* A message with its line feed, and with its terminating zero in place of it. */
#define MESSAGE_SIZE 4096
#define MESSAGE_PAIRS 64

struct wire {
	int descriptor; /* -1 when there is no connection */
	char in[MESSAGE_SIZE];
	size_t in_used;
	char out[2 * MESSAGE_SIZE];
	size_t out_used;
	bool ended; /* the other side has said all; what it said may still lie in `in` */
};

struct message {
	char line[MESSAGE_SIZE];
	const char *verb;
	const char *pairs[MESSAGE_PAIRS];
	int count;
};

enum arrival { ARRIVED_NOTHING, ARRIVED_MESSAGE, ARRIVED_GARBAGE };

/* `$REPRIEVE_SOCKET`, or where the shared volume has it. */
const char *wire_path(void);
/* False with errno set where it cannot be reached at once. */
bool wire_connect(struct wire *wire);
void wire_close(struct wire *wire);
bool wire_is_open(const struct wire *wire);

/* Queues a message and sends what goes; closes the connection where too much waits already. */
void wire_say(struct wire *wire, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sends what goes; closes a broken connection. */
void wire_flush(struct wire *wire);
/* What to poll for. */
short wire_events(const struct wire *wire);
/* Takes in what has come, once; false when the connection is over and nothing of it is left to read. */
bool wire_receive(struct wire *wire);
/* The next whole message that was received. */
enum arrival wire_next(struct wire *wire, struct message *message);

/* NULL where the key is missing. */
const char *message_text(const struct message *message, const char *key);
bool message_number(const struct message *message, const char *key, long long *number);

#endif
