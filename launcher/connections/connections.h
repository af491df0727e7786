/* The state of TCP connections of a stopped application, read in repair mode, and CRIU's image of one of them. */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>

/* What the kernel knows of one end. Sequence numbers and lengths include a FIN, which counts as one byte. */
struct stream {
	uint8_t state, options, send_scale, receive_scale;
	uint32_t mss, timestamp;
	uint32_t received;    /* rcv_nxt: the next byte that it expects */
	uint32_t written;     /* write_seq: the end of what the program has written */
	uint32_t unconfirmed; /* written - snd_una */
	uint32_t in_length, out_length; /* of the queues, without FIN */
	char *in, *out;
	struct tcp_repair_window window;
};

/* Leaves the socket as it was. Returns false if it cannot be read, or changed meanwhile; nothing is allocated then. */
bool read_stream(int socket, struct stream *stream);
void free_stream(struct stream *stream);

/* Writes FOLDER/tcp-stream-INODE.img. Returns false with errno, and leaves no file. */
bool write_stream(const char *folder, uint32_t inode, const struct stream *stream);

#endif
