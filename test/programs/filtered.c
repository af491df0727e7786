/* Has two seccomp filters that allow all, the second one with the flag LOG. Prints "ready", and "went on" at SIGUSR1. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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
#define SET_MODE_FILTER 1
#define FLAG_LOG 2
static const struct instruction load = { .code = 0x20 }, allow = { .code = 0x06, .k = 0x7fff0000 };

static int install(unsigned int flags, const struct instruction *first, uint16_t length)
{
	struct program program = { .length = length, .first = first };
	return (int)syscall(SYS_seccomp, SET_MODE_FILTER, flags, &program);
}

int main(void)
{
	const struct instruction first[] = { allow }, second[] = { load, allow };
	sigset_t set;
	int number;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || install(0, first, 1) < 0 ||
	    install(FLAG_LOG, second, 2) < 0) {
		perror("seccomp");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	sigwait(&set, &number);
	puts("went on");
	return 0;
}
