/* Mode peers: names the processes behind connections that the sidecar accepted. Node has no SO_PEERCRED. */
#include "modes.h"
#include "shared/options.h"
#include "shared/report.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Linux 6.5; the headers of musl may be older. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define FIRST 3

/* A process that connected and ended may have left its socket to another one, and its number to a third. */
static bool has_ended(int socket)
{
	int process = -1;
	socklen_t size = sizeof process;
	/* ENOPROTOOPT: an older kernel cannot tell. The sidecar compares the start of the process in any case. */
	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &process, &size) < 0)
		return errno != ENOPROTOOPT;
	struct pollfd entry = { .fd = process, .events = POLLIN };
	bool ended = poll(&entry, 1, 0) != 0;
	close(process);
	return ended;
}

int peers_mode(char **words)
{
	long long count;
	if (!words[0] || words[1] || !parse_number(words[0], &count))
		die(EXIT_LAUNCHER, "usage: launcher peers COUNT");
	for (int socket = FIRST; socket < FIRST + count; socket++) {
		struct ucred peer = { 0 };
		socklen_t size = sizeof peer;
		/* The kernel says 0 for a process outside this PID namespace, which no process inside can pretend. */
		if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || has_ended(socket))
			peer.pid = -1;
		printf("%d\n", (int)peer.pid);
	}
	if (fflush(stdout) != 0)
		die(EXIT_LAUNCHER, "write the peers: %m");
	return 0;
}
