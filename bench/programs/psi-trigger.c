/*
 * Waits for a PSI trigger: `psi-trigger FILE "some STALL_US WINDOW_US"` writes the trigger to a memory.pressure file and says "pressure"
 * each time the kernel reports it (https://docs.kernel.org/accounting/psi.html). Node has no call that waits for POLLPRI.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **words)
{
	if (count != 3) {
		fputs("usage: psi-trigger FILE TRIGGER\n", stderr);
		return 2;
	}
	struct pollfd file = { open(words[1], O_RDWR | O_NONBLOCK), POLLPRI, 0 };
	if (file.fd < 0 || write(file.fd, words[2], strlen(words[2]) + 1) < 0) {
		perror(words[1]);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("set");
	while (poll(&file, 1, -1) > 0) {
		if (file.revents & POLLERR)
			return 0; /* The cgroup is gone. */
		if (file.revents & POLLPRI)
			puts("pressure");
	}
	perror("poll");
	return 1;
}
