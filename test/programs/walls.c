/* Says who it is and what it may not write, then prints "step N" every 20 ms. On SIGTERM it prints "told to end" and ends with 7.
 *   walls PATH...           tries to make each PATH, time and again
 *   walls --write PATH      makes PATH, and ends */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t told;

static void on_term(int number)
{
	told = number;
}

static int make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? errno : 0;
}

int main(int count, char **words)
{
	struct timespec pause = { 0, 20 * 1000000 };

	if (count == 3 && strcmp(words[1], "--write") == 0)
		return make(words[2]);
	signal(SIGTERM, on_term);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("user %d:%d\n", (int)getuid(), (int)getgid());
	for (long step = 1; !told; step++) {
		for (int at = 1; at < count; at++) {
			int error = make(words[at]);
			if (step == 1 || error == 0)
				printf("%s: %s\n", words[at], strerror(error));
		}
		printf("step %ld\n", step);
		nanosleep(&pause, NULL);
	}
	printf("told to end\n");
	return 7;
}
