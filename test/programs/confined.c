/* Two threads that try a system call which RuntimeDefault refuses: prints "step N ERRNO ERRNO FILTERS", the errno of the first
 * thread first, every 20 ms. Without a filter clone3 answers EINVAL (22) to no arguments, and with it ENOSYS (38). */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_int other;

static int refusal(void)
{
	return syscall(SYS_clone3, NULL, 0) < 0 ? errno : 0;
}

static void pause_once(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

static void *try_again(void *unused)
{
	for (;; pause_once())
		other = refusal();
	return unused;
}

static int count_filters(void)
{
	char line[256];
	int count = 0;
	FILE *status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof line, status))
		sscanf(line, "Seccomp_filters: %d", &count);
	if (status)
		fclose(status);
	return count;
}

int main(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, try_again, NULL) != 0)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long step = 1;; step++) {
		printf("step %ld %d %d %d\n", step, refusal(), other, count_filters());
		pause_once();
	}
}
