/* A deadline is an instant of the monotonic clock, in milliseconds. */
#ifndef CLOCK_H
#define CLOCK_H

#define NEVER_MS (-1LL)

long long now_ms(void);

/* The earlier of two deadlines, either of which may be NEVER_MS. */
long long earlier_ms(long long a, long long b);

/* The timeout for poll: 0 for a deadline that has passed, -1 for NEVER_MS. */
int poll_timeout_ms(long long deadline_ms);

void sleep_ms(long long duration_ms);

#endif
