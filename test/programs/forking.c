/* Forks as servers do that replace their workers: each turn of 50 ms a child that ends at once, and one that lives for 3 s. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t fork_or_die(void)
{
	pid_t child = fork();
	if (child < 0) {
		perror("fork");
		exit(1);
	}
	return child;
}

int main(void)
{
	struct timespec pause_time = { 0, 50000000 };
	int living = 0, lost = 0, status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long turn = 1;; turn++) {
		for (unsigned seconds = 0; seconds <= 3; seconds += 3) {
			if (fork_or_die() == 0) {
				sleep(seconds);
				_exit(0);
			}
			living++;
		}
		for (; waitpid(-1, &status, WNOHANG) > 0; living--)
			lost += status != 0;
		if (turn % 20 == 0)
			printf("turn %ld: %d children, %d lost\n", turn, living, lost);
		nanosleep(&pause_time, NULL);
	}
}
