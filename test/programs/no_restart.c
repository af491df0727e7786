/* Sleeps in poll(2) under a seccomp filter that refuses restart_syscall(2). Prints "ready", and how its sleep ended. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* musl comes without linux/filter.h and linux/seccomp.h. */
struct instruction {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};
struct program {
	uint16_t length;
	const struct instruction *first;
};
#define MODE_FILTER 2

int main(void)
{
	const struct instruction filter[] = {
		{ .code = 0x20 },                                         /* the number of the call */
		{ .code = 0x15, .jf = 1, .k = SYS_restart_syscall },
		{ .code = 0x06, .k = 0x00050000 | EPERM },
		{ .code = 0x06, .k = 0x7fff0000 },
	};
	struct program program = { .length = 4, .first = filter };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, MODE_FILTER, &program) < 0) {
		perror("seccomp");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	int ready = poll(NULL, 0, 60000);
	puts(ready == 0 ? "slept" : errno == EINTR ? "was interrupted" : "was refused");
	return 0;
}
