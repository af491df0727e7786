#include "wire.h"
#include "shared/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

const char *wire_path(void)
{
	const char *path = getenv("REPRIEVE_SOCKET");
	return path && *path ? path : "/reprieve/run/sidecar.sock";
}

bool wire_is_open(const struct wire *wire)
{
	return wire->descriptor >= 0;
}

bool wire_connect(struct wire *wire)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = wire_path();

	*wire = (struct wire){ .descriptor = -1 };
	if (strlen(path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return false;
	}
	strcpy(address.sun_path, path);
	int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		return false;
	/* A full backlog of a Unix socket gives EAGAIN, never EINPROGRESS: the launcher tries again later. */
	if (connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0) {
		int error = errno;
		close(descriptor);
		errno = error;
		return false;
	}
	wire->descriptor = descriptor;
	return true;
}

void wire_close(struct wire *wire)
{
	if (wire_is_open(wire))
		close(wire->descriptor);
	wire->descriptor = -1;
}

void wire_say(struct wire *wire, const char *format, ...)
{
	if (!wire_is_open(wire))
		return;
	va_list values;
	va_start(values, format);
	size_t room = sizeof wire->out - wire->out_used;
	int length = vsnprintf(wire->out + wire->out_used, room, format, values);
	va_end(values);
	if (length < 0 || length >= MESSAGE_SIZE || (size_t)length + 1 > room) {
		wire_close(wire);
		return;
	}
	wire->out[wire->out_used + (size_t)length] = '\n';
	wire->out_used += (size_t)length + 1;
	wire_flush(wire);
}

void wire_flush(struct wire *wire)
{
	while (wire_is_open(wire) && wire->out_used > 0) {
		ssize_t sent = send(wire->descriptor, wire->out, wire->out_used, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			return;
		/* Messages from before it closed may still wait to be read: the launcher notices the end when it reads. */
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			wire->out_used = 0;
		else if (sent < 0)
			wire_close(wire);
		else
			memmove(wire->out, wire->out + sent, wire->out_used -= (size_t)sent);
	}
}

short wire_events(const struct wire *wire)
{
	return POLLIN | (wire->out_used > 0 ? POLLOUT : 0);
}

bool wire_receive(struct wire *wire)
{
	size_t room = sizeof wire->in - wire->in_used;
	if (room == 0 || wire->ended)
		return true;
	ssize_t got = recv(wire->descriptor, wire->in + wire->in_used, room, MSG_DONTWAIT);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (got <= 0) {
		wire->ended = true;
		return wire->in_used > 0;
	}
	wire->in_used += (size_t)got;
	return true;
}
