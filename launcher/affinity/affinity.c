/* Mode affinity: gives threads the processors that they had. Each word is TID:MASK, the mask as /proc/TID/status has it. */
#include "modes.h"
#include "shared/report.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* NR_CPUS is at most 8192. */
#define MASK_BYTES 1024

static int digit_of(char character)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = character ? strchr(digits, character) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* Hex digits, the lowest processors last; the commas between words of 32 bits have no meaning. Returns the bytes, 0 for another form. */
static size_t parse_mask(const char *text, unsigned char *mask)
{
	memset(mask, 0, MASK_BYTES);
	size_t digits = 0;
	for (size_t at = strlen(text); at-- > 0;) {
		if (text[at] == ',')
			continue;
		int digit = digit_of(text[at]);
		if (digit < 0 || digits == 2 * MASK_BYTES)
			return 0;
		mask[digits / 2] |= (unsigned char)(digit << (digits % 2 * 4));
		digits++;
	}
	/* The kernel takes whole words of 64 bits. */
	return (digits + 15) / 16 * 8;
}

/* A thread of which none of the processors is here keeps those that it has, and is named. */
int affinity_mode(char **words)
{
	static unsigned char mask[MASK_BYTES];
	for (; *words; words++) {
		char *end;
		long tid = strtol(*words, &end, 10);
		size_t bytes = *end == ':' ? parse_mask(end + 1, mask) : 0;
		if (tid <= 0 || bytes == 0)
			die(EXIT_LAUNCHER, "usage: launcher affinity TID:MASK ...");
		if (syscall(SYS_sched_setaffinity, (pid_t)tid, bytes, mask) < 0)
			warn("sched_setaffinity of %ld: %m", tid);
	}
	return 0;
}
