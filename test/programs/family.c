/* A family that counts: the parent, three children, an orphaned grandchild and four threads of the parent, each adding to a
 * number of its own in shared memory. The parent prints "count ROUND P C1 C2 C3 ORPHAN T1 T2 T3 T4" every 50 ms. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILDREN = 3, ORPHAN = 1 + CHILDREN, FIRST_THREAD, THREADS = 4, ALL = FIRST_THREAD + THREADS };

static atomic_long *counters;

static void nap_ms(long ms)
{
	struct timespec pause = { 0, ms * 1000000 };
	nanosleep(&pause, NULL);
}

static void *count(void *slot)
{
	for (;;) {
		atomic_fetch_add(&counters[(long)slot], 1);
		nap_ms(5);
	}
	return NULL;
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

int main(void)
{
	counters = mmap(NULL, ALL * sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counters == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long child = 1; child <= CHILDREN; child++)
		if (fork_or_die() == 0)
			count((void *)child);
	/* A child that leaves a grandchild behind. */
	pid_t parent = fork_or_die();
	if (parent == 0) {
		if (fork_or_die() == 0)
			count((void *)ORPHAN);
		_exit(0);
	}
	waitpid(parent, NULL, 0);
	for (long thread = FIRST_THREAD; thread < ALL; thread++) {
		pthread_t ignored;
		if (pthread_create(&ignored, NULL, count, (void *)thread) != 0)
			return 1;
	}
	for (;;) {
		atomic_fetch_add(&counters[0], 1);
		printf("count");
		for (int slot = 0; slot < ALL; slot++)
			printf(" %ld", atomic_load(&counters[slot]));
		printf("\n");
		nap_ms(50);
	}
}
