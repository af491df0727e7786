#include "capabilities.h"
#include "report.h"

#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As capset(2) has them; the C library has no header for it. */
#define CAPABILITY_VERSION_3 0x20080522
struct capability_header {
	uint32_t version;
	int pid;
};
struct capability_data {
	uint32_t effective, permitted, inheritable;
};

void drop_capabilities(void)
{
	struct capability_header header = { .version = CAPABILITY_VERSION_3 };
	const struct capability_data none[2] = { 0 };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		warn("prctl(PR_CAP_AMBIENT_CLEAR_ALL): %m");
	/* EINVAL is past the last that this kernel has; EPERM a container that may not, and has a small set anyway. */
	for (unsigned long number = 0; number < 64; number++)
		if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0) {
			if (errno != EINVAL && errno != EPERM)
				warn("prctl(PR_CAPBSET_DROP, %lu): %m", number);
			break;
		}
	if (syscall(SYS_capset, &header, none) < 0)
		warn("capset, to give up all capabilities: %m");
}
