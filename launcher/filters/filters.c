/*
 * Mode filters: prints the seccomp filters of a process, the oldest first, as FLAGS HEX lines. CRIU restores a tree outside of the
 * filters of its container, and puts on each process those that the images name.
 */
#include "modes.h"
#include "shared/options.h"
#include "shared/report.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

/* linux/bpf_common.h: BPF_MAXINSNS. linux/filter.h: struct sock_filter has 8 bytes. linux/ptrace.h: struct seccomp_metadata. */
#define MOST_INSTRUCTIONS 4096
#define INSTRUCTION_BYTES 8
struct metadata {
	uint64_t number, flags;
};

/* Returns false after the last one. */
static bool print_filter(pid_t pid, long number)
{
	static unsigned char program[MOST_INSTRUCTIONS * INSTRUCTION_BYTES];
	struct metadata metadata = { .number = (uint64_t)number };
	long length = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, number, program);
	if (length < 0 && errno == ENOENT)
		return false;
	if (length < 0)
		die(EXIT_LAUNCHER, "PTRACE_SECCOMP_GET_FILTER %ld of process %d: %m", number, (int)pid);
	/* EIO: Linux before 4.16, whose filters have no flags that it tells. */
	if (ptrace(PTRACE_SECCOMP_GET_METADATA, pid, sizeof metadata, &metadata) < 0 && errno != EIO)
		die(EXIT_LAUNCHER, "PTRACE_SECCOMP_GET_METADATA %ld of process %d: %m", number, (int)pid);
	printf("%llu ", (unsigned long long)metadata.flags);
	for (long at = 0; at < length * INSTRUCTION_BYTES; at++)
		printf("%02x", program[at]);
	printf("\n");
	return true;
}

#if defined __x86_64__
#define RESULT(registers) ((registers).rax)
#elif defined __aarch64__
#define RESULT(registers) ((registers).regs[0])
#else
#error "x86_64 and aarch64 are known"
#endif
/* linux/errno.h: a call that was interrupted, and that the kernel would continue by restart_syscall(2). */
#define ERESTART_RESTARTBLOCK 516

/* The container's filters may refuse restart_syscall: the call ends with EINTR instead, which the launcher expects at any time. */
static void interrupt_call(pid_t pid)
{
	struct user_regs_struct registers;
	struct iovec vector = { &registers, sizeof registers };
	if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &vector) < 0)
		die(EXIT_LAUNCHER, "PTRACE_GETREGSET of process %d: %m", (int)pid);
	if ((long)RESULT(registers) != -ERESTART_RESTARTBLOCK)
		return;
	RESULT(registers) = (unsigned long)-EINTR;
	if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &vector) < 0)
		die(EXIT_LAUNCHER, "PTRACE_SETREGSET of process %d: %m", (int)pid);
}

int filters_mode(char **words)
{
	static const char *const known[] = { "pid=", NULL };
	struct options options = parse_options(words, known);
	long long number = option_number(&options, "pid", 1, 0);
	if (number == 0 || number > INT_MAX)
		die(EXIT_LAUNCHER, "usage: launcher filters --pid=PID");
	pid_t pid = (pid_t)number;
	int status;
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		die(EXIT_LAUNCHER, "PTRACE_SEIZE of process %d: %m", (int)pid);
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) != pid)
		die(EXIT_LAUNCHER, "PTRACE_INTERRUPT of process %d: %m", (int)pid);
	if (!WIFSTOPPED(status))
		die(EXIT_LAUNCHER, "process %d has ended", (int)pid);
	interrupt_call(pid);
	for (long filter = 0; print_filter(pid, filter); filter++)
		;
	if (ptrace(PTRACE_DETACH, pid, NULL, WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status)) < 0)
		die(EXIT_LAUNCHER, "PTRACE_DETACH of process %d: %m", (int)pid);
	if (fflush(stdout) != 0)
		die(EXIT_LAUNCHER, "write the filters: %m");
	return 0;
}
