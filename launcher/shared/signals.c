#include "signals.h"
#include "report.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LAST_SIGNAL 64

sigset_t every_signal(void)
{
	sigset_t set;
	/* sigfillset leaves out the C library's reserved signals. */
	memset(&set, 0xff, sizeof set);
	return set;
}

void block_signals(void)
{
	sigset_t set = every_signal();
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		die(EXIT_LAUNCHER, "sigprocmask, to block all signals: %m");
}

void reset_signals(void)
{
	/* The kernel's struct sigaction, all zero: SIG_DFL. The C library's sigaction refuses its reserved signals. */
	unsigned long by_default[4] = { 0 };
	for (int number = 1; number <= LAST_SIGNAL; number++)
		if (number != SIGKILL && number != SIGSTOP &&
		    syscall(SYS_rt_sigaction, number, by_default, NULL, 8) < 0)
			warn("rt_sigaction, to reset signal %d: %m", number);
	sigset_t none;
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		warn("sigprocmask, to unblock all signals: %m");
}

int next_signal(siginfo_t *info)
{
	static const struct timespec at_once = { 0, 0 };
	sigset_t set = every_signal();
	for (;;) {
		int number = sigtimedwait(&set, info, &at_once);
		if (number > 0)
			return number;
		if (errno == EAGAIN)
			return 0;
		if (errno != EINTR)
			die(EXIT_LAUNCHER, "sigtimedwait: %m");
	}
}

int signal_descriptor(void)
{
	sigset_t set = every_signal();
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool signal_ends(int number)
{
	switch (number) {
	case SIGCHLD:
	case SIGCONT:
	case SIGURG:
	case SIGWINCH:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		return false;
	default:
		return true;
	}
}

bool signal_asks_for_end(const siginfo_t *info)
{
	switch (info->si_signo) {
	case SIGTERM:
	case SIGINT:
	case SIGQUIT:
		return true;
	case SIGWINCH:
		return info->si_code <= 0; /* from a process, not from the kernel: sigaction(2) */
	default:
		return false;
	}
}
