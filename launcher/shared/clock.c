#include "clock.h"
#include "report.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

long long now_ms(void)
{
	struct timespec now;
	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		die(EXIT_LAUNCHER, "clock_gettime(CLOCK_MONOTONIC): %m");
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

long long earlier_ms(long long a, long long b)
{
	if (a == NEVER_MS)
		return b;
	return b == NEVER_MS || a < b ? a : b;
}

int poll_timeout_ms(long long deadline_ms)
{
	if (deadline_ms == NEVER_MS)
		return -1;
	long long left = deadline_ms - now_ms();
	if (left < 0)
		return 0;
	return left < INT_MAX ? (int)left : INT_MAX;
}

void sleep_ms(long long duration_ms)
{
	struct timespec left = { duration_ms / 1000, duration_ms % 1000 * 1000000 };
	while (nanosleep(&left, &left) < 0)
		if (errno != EINTR)
			die(EXIT_LAUNCHER, "nanosleep for %lld ms: %m", duration_ms);
}
