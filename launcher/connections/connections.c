/*
 * Mode connections: writes CRIU's images of TCP connections whose both ends belong to a stopped application. CRIU itself can
 * only do that to all connections of a program, and would cut those to the outside off from their peers.
 */
#include "connections.h"
#include "modes.h"
#include "shared/options.h"
#include "shared/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A confirmation is delayed by up to 200 ms (TCP_DELACK_MAX), and a segment that found no room is sent again later. */
#define SETTLING_MS 1000
#define PAUSE_MS 10

struct end {
	uint32_t inode;
	int state, socket;
	struct stream stream;
};

/* INODE:STATE:PID:FD. Takes the descriptor from the process. */
static bool take_end(const char *word, struct end *end)
{
	int process, descriptor;
	struct stat found;
	end->socket = -1;
	if (sscanf(word, "%u:%d:%d:%d", &end->inode, &end->state, &process, &descriptor) != 4)
		die(EXIT_LAUNCHER, "\"%s\" is not INODE:STATE:PID:FD", word);
	int pidfd = (int)syscall(SYS_pidfd_open, process, 0);
	if (pidfd < 0) {
		warn("pidfd_open of process %d: %m", process);
		return false;
	}
	end->socket = (int)syscall(SYS_pidfd_getfd, pidfd, descriptor, 0);
	if (end->socket < 0)
		warn("pidfd_getfd of descriptor %d of process %d: %m", descriptor, process);
	close(pidfd);
	return end->socket >= 0 && fstat(end->socket, &found) == 0 && (uint32_t)found.st_ino == end->inode;
}

static bool is_known_state(const struct end *end)
{
	switch (end->stream.state) {
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSE_WAIT:
	case TCP_LAST_ACK:
		return true;
	default:
		return false;
	}
}

/* Of all that has arrived at `to`, `from` knows that it has. Then the two images fit, whichever was read first. */
static bool is_settled(const struct stream *from, const struct stream *to)
{
	return from->written - from->unconfirmed == to->received;
}

/*
 * Brings all that is under way to its receiver, whose queue takes more than its window at a restore. So no end has anything to send
 * before the other end is there, which would answer that it knows nothing of the connection.
 */
static bool deliver(struct stream *from, struct stream *to)
{
	if (from->out_length > 0) {
		char *all = realloc(to->in, (size_t)to->in_length + from->out_length);
		if (!all)
			return false;
		memcpy(all + to->in_length, from->out, from->out_length);
		to->in = all;
		to->in_length += from->out_length;
		to->received += from->out_length;
		from->out_length = 0;
	}
	if (from->state == TCP_FIN_WAIT1 && to->state == TCP_ESTABLISHED) {
		from->state = TCP_FIN_WAIT2;
		to->state = TCP_CLOSE_WAIT;
		to->received++;
	}
	/* A window of this size: what the receiver can take beyond what it has, and nothing before a FIN that is not delivered. */
	uint32_t end = to->window.rcv_wup + to->window.rcv_wnd;
	to->window.rcv_wnd = (int32_t)(end - to->received) > 0 ? end - to->received : 0;
	to->window.rcv_wup = to->received;
	bool has_sent_end = from->state == TCP_FIN_WAIT1 || from->state == TCP_LAST_ACK;
	from->window.snd_wnd = has_sent_end ? 0 : to->window.rcv_wnd;
	if (from->window.max_window < from->window.snd_wnd)
		from->window.max_window = from->window.snd_wnd;
	return true;
}

static bool read_ends(struct end *ends, int count)
{
	for (int i = 0; i < count; i++)
		if (!read_stream(ends[i].socket, &ends[i].stream)) {
			while (i-- > 0)
				free_stream(&ends[i].stream);
			return false;
		}
	struct stream *one = &ends[0].stream, *other = &ends[count - 1].stream;
	if (count == 1) {
		/* Nobody is there to take it. */
		one->out_length = 0;
		return true;
	}
	if (is_settled(one, other) && is_settled(other, one) && deliver(one, other) && deliver(other, one))
		return true;
	free_stream(one);
	free_stream(other);
	return false;
}

static bool pause_once(int *waited_ms)
{
	struct timespec pause = { .tv_nsec = PAUSE_MS * 1000L * 1000L };
	if (*waited_ms >= SETTLING_MS)
		return false;
	*waited_ms += PAUSE_MS;
	nanosleep(&pause, NULL);
	return true;
}

/* Writes both images or none; without them both ends are closed at the restore. */
static void save(const char *folder, struct end *ends, int count)
{
	int written = 0;
	bool is_known = true;
	for (int i = 0; i < count; i++)
		is_known = is_known && is_known_state(&ends[i]);
	while (is_known && written < count && write_stream(folder, ends[written].inode, &ends[written].stream))
		written++;
	if (is_known && written < count) {
		warn("write the image of socket %u in %s: %m", ends[written].inode, folder);
		while (written-- > 0) {
			char path[4096];
			snprintf(path, sizeof path, "%s/tcp-stream-%x.img", folder, ends[written].inode);
			unlink(path);
		}
	} else if (is_known) {
		for (int i = 0; i < count; i++)
			if (ends[i].stream.state != ends[i].state)
				printf("%u %d\n", ends[i].inode, ends[i].stream.state);
	}
	for (int i = 0; i < count; i++)
		free_stream(&ends[i].stream);
}

int connections_mode(char **words)
{
	static const char *const known[] = { "images=", NULL };
	struct options options = parse_options(words, known);
	const char *folder = option_text(&options, "images");
	int waited_ms = 0;
	if (!folder || !options.command[0])
		die(EXIT_LAUNCHER, "usage: launcher connections --images=FOLDER -- INODE:STATE:PID:FD[,INODE:STATE:PID:FD]...");
	for (char **word = options.command; *word; word++) {
		struct end ends[2];
		char *second = strchr(*word, ',');
		int count = second ? 2 : 1;
		bool is_taken = take_end(*word, &ends[0]);
		ends[1].socket = -1;
		if (second)
			is_taken = take_end(second + 1, &ends[1]) && is_taken;
		bool is_read = is_taken && read_ends(ends, count);
		while (is_taken && !is_read && pause_once(&waited_ms))
			is_read = read_ends(ends, count);
		if (is_read)
			save(folder, ends, count);
		for (int i = 0; i < count; i++)
			if (ends[i].socket >= 0)
				close(ends[i].socket);
	}
	return fflush(stdout) == 0 ? 0 : EXIT_LAUNCHER;
}
