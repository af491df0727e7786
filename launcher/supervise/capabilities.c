#include "capabilities.h"
#include "shared/report.h"

#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The structures of capset(2), for which the C library has no header. */
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
	/* EINVAL: after the last capability of this kernel. EPERM: the container may not drop them, and has a small set already. */
	for (unsigned long number = 0; number < 64; number++)
		if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0) {
			if (errno != EINVAL && errno != EPERM)
				warn("prctl(PR_CAPBSET_DROP, %lu): %m", number);
			break;
		}
	if (syscall(SYS_capset, &header, none) < 0)
		warn("capset, to drop all capabilities: %m");
}
