/* Reads one end in repair mode: https://criu.org/TCP_connection. All of its program's tasks are stopped. */
#include "connections.h"
#include "shared/report.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* linux/tcp.h: TCP_NO_QUEUE and its siblings; linux/sockios.h: SIOCINQ, SIOCOUTQ. */
enum { NO_QUEUE, RECEIVE_QUEUE, SEND_QUEUE };
#define INPUT_LENGTH 0x541B
#define OUTPUT_LENGTH 0x5411

static bool set(int socket, int option, int value)
{
	return setsockopt(socket, IPPROTO_TCP, option, &value, sizeof value) == 0;
}

static bool get(int socket, int option, void *value, socklen_t size)
{
	socklen_t length = size;
	return getsockopt(socket, IPPROTO_TCP, option, value, &length) == 0 && length == size;
}

/* One byte more is asked for: a queue that holds more than its length says has grown meanwhile. */
static bool read_queue(int socket, int queue, uint32_t *sequence, uint32_t length, char **bytes)
{
	bool is_read = set(socket, TCP_REPAIR_QUEUE, queue) && get(socket, TCP_QUEUE_SEQ, sequence, sizeof *sequence);
	if (is_read && length > 0) {
		*bytes = malloc((size_t)length + 1);
		is_read = *bytes && recv(socket, *bytes, (size_t)length + 1, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)length;
	}
	/* In repair mode the kernel takes what waits in a selected send queue for sent. */
	return set(socket, TCP_REPAIR_QUEUE, NO_QUEUE) && is_read;
}

static bool read_repaired(int socket, struct stream *stream)
{
	struct tcp_info info;
	socklen_t size = sizeof info;
	int in = 0, out = 0;
	memset(&info, 0, sizeof info);
	if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || ioctl(socket, INPUT_LENGTH, &in) != 0 ||
	    ioctl(socket, OUTPUT_LENGTH, &out) != 0)
		return false;
	stream->state = info.tcpi_state;
	stream->options = info.tcpi_options;
	stream->send_scale = info.tcpi_snd_wscale;
	stream->receive_scale = info.tcpi_rcv_wscale;
	stream->unconfirmed = (uint32_t)out;
	stream->in_length = (uint32_t)in;
	/* A FIN that is not confirmed is no byte in the queue. */
	bool has_sent_end = info.tcpi_state == TCP_FIN_WAIT1 || info.tcpi_state == TCP_LAST_ACK;
	stream->out_length = (uint32_t)out - (has_sent_end && out > 0 ? 1 : 0);
	if (!get(socket, TCP_MAXSEG, &stream->mss, sizeof stream->mss) ||
	    !get(socket, TCP_REPAIR_WINDOW, &stream->window, sizeof stream->window))
		return false;
	if ((info.tcpi_options & TCPI_OPT_TIMESTAMPS) &&
	    !get(socket, TCP_TIMESTAMP, &stream->timestamp, sizeof stream->timestamp))
		return false;
	return read_queue(socket, RECEIVE_QUEUE, &stream->received, stream->in_length, &stream->in) &&
	       read_queue(socket, SEND_QUEUE, &stream->written, stream->out_length, &stream->out);
}

bool read_stream(int socket, struct stream *stream)
{
	int reuse = 0;
	socklen_t size = sizeof reuse;
	memset(stream, 0, sizeof *stream);
	/* Repair mode changes SO_REUSEADDR for good. */
	if (getsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &reuse, &size) != 0 || !set(socket, TCP_REPAIR, 1)) {
		warn("TCP repair mode: %m");
		return false;
	}
	bool is_read = read_repaired(socket, stream);
	if (!set(socket, TCP_REPAIR, 0))
		warn("end TCP repair mode: %m");
	if (setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) != 0)
		warn("set SO_REUSEADDR again: %m");
	if (!is_read)
		free_stream(stream);
	return is_read;
}

void free_stream(struct stream *stream)
{
	free(stream->in);
	free(stream->out);
	stream->in = stream->out = NULL;
}
