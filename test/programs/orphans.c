/* Leaves orphans: on every SIGUSR1 it makes COUNT grandchildren whose parents are gone, which end a moment later, and then
 * prints "left COUNT". Prints "waiting" at the start, and again every 100 ms. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t asked;

static void on_usr1(int number)
{
	asked = number;
}

static void nap_ms(long ms)
{
	struct timespec pause = { 0, ms * 1000000 };
	nanosleep(&pause, NULL);
}

static pid_t fork_or_die(void)
{
	pid_t child = fork();
	if (child < 0) {
		perror("fork");
		exit(1);
	}
	return child;
}

static void leave_orphan(void)
{
	pid_t parent = fork_or_die();
	if (parent == 0) {
		if (fork_or_die() == 0)
			nap_ms(20);
		_exit(0);
	}
	waitpid(parent, NULL, 0);
}

int main(int count_words, char **words)
{
	int count = count_words > 1 ? atoi(words[1]) : 200;
	signal(SIGUSR1, on_usr1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		printf("waiting\n");
		nap_ms(100);
		if (asked) {
			asked = 0;
			for (int orphan = 0; orphan < count; orphan++)
				leave_orphan();
			printf("left %d\n", count);
		}
	}
}
