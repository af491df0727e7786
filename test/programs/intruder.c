/* A library without dependencies that makes the file /intruded as soon as anything loads it. */
#include <fcntl.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c, long d)
{
	long result;
#if defined(__x86_64__)
	register long fourth __asm__("r10") = d;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
			 : "rcx", "r11", "memory");
#else
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
		      x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	result = x0;
#endif
	return result;
}

__attribute__((constructor)) static void intrude(void)
{
	static const char text[] = "library loaded\n";
	long fd = call(SYS_openat, AT_FDCWD, (long)"/intruded", O_WRONLY | O_CREAT | O_APPEND, 0666);

	call(SYS_write, fd, (long)text, sizeof text - 1, 0);
}
