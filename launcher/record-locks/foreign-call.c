#include "foreign-call.h"

#include <elf.h>
#include <errno.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

/* Beyond the 128 bytes below the stack pointer that a function may use unasked, nobody holds anything. */
#define BELOW_STACK 1024
#define SYSCALL_STOP (SIGTRAP | 0x80)

#if defined __x86_64__
#define NUMBER(registers) ((registers).orig_rax)
#define RESULT(registers) ((registers).rax)
#define STACK(registers) ((registers).rsp)
static void set_arguments(struct user_regs_struct *registers, long first, long second, unsigned long third)
{
	registers->rdi = (unsigned long)first;
	registers->rsi = (unsigned long)second;
	registers->rdx = third;
}
/* The registers before the instruction `syscall`, of which these are behind it. */
static void step_back(struct user_regs_struct *registers)
{
	registers->rip -= 2;
	registers->rax = registers->orig_rax;
}
#elif defined __aarch64__
#define NUMBER(registers) ((registers).regs[8])
#define RESULT(registers) ((registers).regs[0])
#define STACK(registers) ((registers).sp)
static void set_arguments(struct user_regs_struct *registers, long first, long second, unsigned long third)
{
	registers->regs[0] = (unsigned long)first;
	registers->regs[1] = (unsigned long)second;
	registers->regs[2] = third;
}
static void step_back(struct user_regs_struct *registers)
{
	registers->pc -= 4;
}
#else
#error "x86_64 and aarch64 are known"
#endif

static bool registers_of(pid_t pid, int request, struct user_regs_struct *registers)
{
	struct iovec vector = { registers, sizeof *registers };
	return ptrace(request, pid, (void *)NT_PRSTATUS, &vector) == 0;
}

static bool await_stop(pid_t pid, int *status)
{
	if (waitpid(pid, status, __WALL) != pid)
		return false;
	errno = ESRCH;
	return WIFSTOPPED(*status);
}

/* To its next entry into a system call, or from there to the end of it. */
static bool run_to_edge(pid_t pid)
{
	int status = 0;
	do {
		/* A stop for another event has no signal to hand on. */
		long signal = status >> 16 == 0 && status != 0 ? WSTOPSIG(status) : 0;
		if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)signal) < 0 || !await_stop(pid, &status))
			return false;
	} while (WSTOPSIG(status) != SYSCALL_STOP);
	return true;
}

bool take_process(pid_t pid)
{
	int status;
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)PTRACE_O_TRACESYSGOOD) < 0)
		return false;
	return ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 && await_stop(pid, &status);
}

void leave_process(pid_t pid)
{
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

/* On arm64 the number that counts is in a set of its own once the call has been entered. */
static bool enter_call(pid_t pid, struct user_regs_struct *registers, long number)
{
	NUMBER(*registers) = (unsigned long)number;
#if defined __aarch64__
	int other = (int)number;
	struct iovec vector = { &other, sizeof other };
	if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_ARM_SYSTEM_CALL, &vector) < 0)
		return false;
#endif
	return registers_of(pid, PTRACE_SETREGSET, registers) && run_to_edge(pid);
}

long call_in_process(pid_t pid, long number, const long words[2], const void *bytes, size_t length)
{
	struct user_regs_struct own, other;
	if (!run_to_edge(pid) || !registers_of(pid, PTRACE_GETREGSET, &own))
		return -1;
	other = own;
	unsigned long at = (STACK(own) - BELOW_STACK - length) & ~15UL;
	struct iovec from = { (void *)bytes, length }, to = { (void *)at, length };
	if (process_vm_writev(pid, &from, 1, &to, 1, 0) != (ssize_t)length)
		return -1;
	set_arguments(&other, words[0], words[1], at);
	bool is_done = enter_call(pid, &other, number) && registers_of(pid, PTRACE_GETREGSET, &other);
	int error = errno;
	step_back(&own);
	if (!registers_of(pid, PTRACE_SETREGSET, &own))
		return -1;
	long result = is_done ? (long)RESULT(other) : -error;
	if (result < 0)
		errno = (int)-result;
	return result;
}
