/*
 * Connects to the sidecar's socket as user 1000. `stranger idle N` opens N connections, says so, and keeps them. `stranger say LINE` sends
 * the line and prints all that is answered.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connected(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/reprieve/run/sidecar.sock" };
	int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
	if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0) {
		perror("connect to the sidecar");
		exit(1);
	}
	return descriptor;
}

int main(int argc, char **argv)
{
	char answer[4096];
	ssize_t got;
	if (argc != 3 || setuid(1000) < 0)
		return 2;
	setvbuf(stdout, NULL, _IONBF, 0);
	if (strcmp(argv[1], "idle") == 0) {
		for (int left = atoi(argv[2]); left > 0; left--)
			connected();
		printf("connected\n");
		for (;;)
			pause();
	}
	int descriptor = connected();
	/* A peer that was closed already gets nothing. */
	if (send(descriptor, argv[2], strlen(argv[2]), MSG_NOSIGNAL) < 0 || send(descriptor, "\n", 1, MSG_NOSIGNAL) < 0)
		return 0;
	while ((got = recv(descriptor, answer, sizeof answer, 0)) > 0)
		fwrite(answer, 1, (size_t)got, stdout);
	return 0;
}
