/* A plain HTTP/1.1 client for preStop hooks. It sends one request, reads the status of the answer, and follows no redirect. */
#include "shared/clock.h"
#include "pod-address.h"
#include "prestop.h"
#include "shared/report.h"
#include "url.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 5000
#define REQUEST_SIZE 65536
#define ANSWER_SIZE 8192

static bool wait_until(int descriptor, short events, long long deadline_ms)
{
	struct pollfd entry = { .fd = descriptor, .events = events };
	int ready;
	do
		ready = poll(&entry, 1, poll_timeout_ms(deadline_ms));
	while (ready < 0 && errno == EINTR);
	if (ready == 0)
		errno = ETIMEDOUT;
	return ready > 0;
}

static int connect_address(const struct addrinfo *address)
{
	int error = 0, descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof error;
	if (descriptor < 0)
		return -1;
	if (connect(descriptor, address->ai_addr, address->ai_addrlen) == 0)
		return descriptor;
	if (errno == EINPROGRESS && wait_until(descriptor, POLLOUT, now_ms() + CONNECT_MS)) {
		if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
			return descriptor;
		errno = error ? error : errno;
	}
	error = errno;
	close(descriptor);
	errno = error;
	return -1;
}

static int connect_host(const char *host, const char *port)
{
	struct addrinfo wanted = { .ai_socktype = SOCK_STREAM }, *list;
	int descriptor = -1, problem = getaddrinfo(host, port, &wanted, &list);
	if (problem != 0) {
		warn("look up %s for the preStop hook: %s", host, gai_strerror(problem));
		return -1;
	}
	for (const struct addrinfo *address = list; address && descriptor < 0; address = address->ai_next)
		descriptor = connect_address(address);
	if (descriptor < 0)
		warn("connect to %s port %s for the preStop hook: %m", host, port);
	freeaddrinfo(list);
	return descriptor;
}

/* The request is the kubelet's (pkg/probe/http/request.go): the user's headers replace its Host, Accept and User-Agent. */
static bool write_request(char *text, const struct options *options, const struct url *url, const char *host)
{
	static const char *const names[] = { "host", "user-agent", "accept" };
	bool given[3] = { false };
	const char *header, *brackets = strchr(host, ':') ? "[]" : "";
	FILE *out = fmemopen(text, REQUEST_SIZE, "w");
	if (!out)
		return false;
	fprintf(out, "GET %.*s HTTP/1.1\r\nConnection: close\r\n", (int)strcspn(url->path, "#"), url->path);
	for (int nth = 0; (header = option_nth(options, "header", nth)); nth++) {
		size_t length = strcspn(header, ":");
		fprintf(out, "%.*s: %s\r\n", (int)length, header, header[length] ? header + length + 1 : "");
		for (int i = 0; i < 3; i++)
			given[i] |= strlen(names[i]) == length && strncasecmp(header, names[i], length) == 0;
	}
	if (!given[0])
		fprintf(out, "Host: %.1s%s%s:%s\r\n", brackets, host, *brackets ? "]" : "", url->port);
	if (!given[1])
		fprintf(out, "User-Agent: kube-lifecycle/reprieve\r\n");
	if (!given[2])
		fprintf(out, "Accept: */*\r\n");
	fprintf(out, "\r\n");
	bool fits = !ferror(out);
	return fclose(out) == 0 && fits && strlen(text) < REQUEST_SIZE - 1;
}

static bool send_all(int descriptor, const char *text, long long deadline_ms)
{
	for (size_t left = strlen(text); left > 0;) {
		if (!wait_until(descriptor, POLLOUT, deadline_ms))
			return false;
		ssize_t sent = send(descriptor, text, left, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		text += sent > 0 ? sent : 0;
		left -= sent > 0 ? (size_t)sent : 0;
	}
	return true;
}

/* Returns the status of the first answer that is not interim (1xx); 0 if it is not complete yet. */
static int find_status(const char *text)
{
	while (strncmp(text, "HTTP/1.", 7) == 0 && strlen(text) > 12) {
		int status = atoi(text + 9);
		if (status >= 200)
			return status;
		const char *end = strstr(text, "\r\n\r\n");
		if (!end)
			return 0;
		text = end + 4;
	}
	return 0;
}

static int read_status(int descriptor, long long deadline_ms)
{
	char text[ANSWER_SIZE] = "";
	size_t used = 0;
	int status = 0;
	errno = 0;
	while (!(status = find_status(text)) && used < sizeof text - 1 && wait_until(descriptor, POLLIN, deadline_ms)) {
		ssize_t got = recv(descriptor, text + used, sizeof text - 1 - used, 0);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			break;
		used += got > 0 ? (size_t)got : 0;
		text[used] = '\0';
	}
	return status;
}

static int ask(int descriptor, const char *request, const char *url)
{
	long long deadline = now_ms() + HOOK_LONGEST_MS;
	int status = 0;
	if (!send_all(descriptor, request, deadline))
		warn("send the preStop hook's request to %s: %m", url);
	else if (!(status = read_status(descriptor, deadline)))
		warn("read the answer of %s to the preStop hook: %s", url, errno ? strerror(errno) : "it is not HTTP");
	else if (status >= 400)
		warn("%s answered the preStop hook with status %d", url, status);
	close(descriptor);
	return status >= 200 && status < 400 ? 0 : 1;
}

int http_get(const struct options *options, const char *text)
{
	static char request[REQUEST_SIZE];
	struct url url;
	int descriptor = -1;
	if (!parse_url(text, &url)) {
		warn("\"%s\" is not a URL that a preStop hook can have", text);
		return 1;
	}
	bool own = !url.host[0];
	if (!own || pod_address(url.host, sizeof url.host))
		descriptor = connect_host(url.host, url.port);
	if (descriptor < 0 && own) {
		strcpy(url.host, "127.0.0.1");
		descriptor = connect_host(url.host, url.port);
	}
	if (descriptor < 0)
		return 1;
	if (!write_request(request, options, &url, url.host)) {
		warn("the headers of the preStop hook for %s are longer than %d bytes", text, REQUEST_SIZE);
		close(descriptor);
		return 1;
	}
	return ask(descriptor, request, text);
}
