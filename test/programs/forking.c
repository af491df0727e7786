/* Forks as servers and shells do: a child that ends at once each turn of 20 ms, and one that stays each half second, up to 12. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 12 };

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
	pid_t staying[MOST];
	int count = 0, lost = 0;
	struct timespec pause_time = { 0, 20000000 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long turn = 1;; turn++) {
		pid_t child = fork_or_die();
		if (child == 0)
			_exit(0);
		waitpid(child, NULL, 0);
		if (turn % 25 == 0 && count < MOST) {
			staying[count] = fork_or_die();
			if (staying[count] == 0)
				for (;;)
					pause();
			count++;
		}
		for (int i = 0; i < count; i++)
			lost += waitpid(staying[i], NULL, WNOHANG) != 0;
		if (turn % 50 == 0)
			printf("turn %ld: %d children, %d lost\n", turn, count, lost);
		nanosleep(&pause_time, NULL);
	}
}
