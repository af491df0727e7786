/* Prints "step N" every 20 ms, and serves HTTP on port 8080: each request is answered 200 and printed as "asked REQUEST-LINE |
 * X-Who header". On SIGTERM it prints "told to end" and ends with 7. */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t told;

static void on_term(int number)
{
	told = number;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int serve(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int yes = 1, server = socket(AF_INET, SOCK_STREAM, 0);
	if (server < 0 || setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0)
		fail("socket");
	if (bind(server, (struct sockaddr *)&address, sizeof address) < 0 || listen(server, 8) < 0)
		fail("bind");
	return server;
}

static void answer(int client)
{
	static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
	char request[4096];
	size_t length = 0;
	while (length < sizeof request - 1) {
		ssize_t got = read(client, request + length, sizeof request - 1 - length);
		if (got <= 0)
			break;
		length += (size_t)got;
		request[length] = '\0';
		if (strstr(request, "\r\n\r\n"))
			break;
	}
	request[length] = '\0';
	char who[64] = "nobody", *line = strtok(request, "\r\n");
	for (char *header = strtok(NULL, "\r\n"); header; header = strtok(NULL, "\r\n"))
		if (strncasecmp(header, "x-who:", 6) == 0)
			sscanf(header + 6, " %63s", who);
	printf("asked %s | %s\n", line ? line : "", who);
	if (write(client, reply, sizeof reply - 1) < 0)
		perror("write");
	close(client);
}

int main(void)
{
	struct pollfd entry = { .fd = serve(), .events = POLLIN };
	signal(SIGTERM, on_term);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long step = 1; !told; step++) {
		printf("step %ld\n", step);
		if (poll(&entry, 1, 20) > 0) {
			int client = accept(entry.fd, NULL, NULL);
			if (client >= 0)
				answer(client);
		}
	}
	printf("told to end\n");
	return 7;
}
