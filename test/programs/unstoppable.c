/* No debugger can stop it, so CRIU waits for it in vain: one thread is in vfork(2), whose child sleeps for minutes. Prints
 * "step N" every 20 ms; on SIGTERM it prints "told to end" and ends with 7. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t told;

static void on_term(int number)
{
	told = number;
}

static void *wait_for_child(void *unused)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	pid_t child = vfork();
	if (child == 0) {
		struct timespec minutes = { 300, 0 };
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		nanosleep(&minutes, NULL);
		_exit(0);
	}
	return unused;
}

int main(void)
{
	pthread_t thread;
	struct timespec pause = { 0, 20000000 };
	signal(SIGTERM, on_term);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (pthread_create(&thread, NULL, wait_for_child, NULL) != 0)
		return 1;
	for (long step = 1; !told; step++) {
		printf("step %ld\n", step);
		nanosleep(&pause, NULL);
	}
	printf("told to end\n");
	_exit(7);
}
