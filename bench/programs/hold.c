/* Holds memory and shows that it lives: `hold MIB BEAT_MS` fills MIB mebibytes with random bytes (nothing to compress, no page
 * like another), then prints "beat N MICROSECONDS" every BEAT_MS milliseconds. The time is CLOCK_REALTIME, which no time
 * namespace shifts, so that beats before a dump and after a restore can be compared. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void fill(uint64_t *words, size_t count)
{
	uint64_t state = 88172645463325252u;

	for (size_t at = 0; at < count; at++) { /* xorshift64 (Marsaglia 2003) */
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		words[at] = state;
	}
}

int main(int count, char **words)
{
	if (count != 3 || atol(words[1]) < 1 || atol(words[2]) < 1) {
		fputs("usage: hold MIB BEAT_MS\n", stderr);
		return 2;
	}
	size_t bytes = (size_t)atol(words[1]) << 20;
	long beat_ms = atol(words[2]);
	struct timespec pause = { beat_ms / 1000, beat_ms % 1000 * 1000000 };
	uint64_t *memory = malloc(bytes);

	if (memory == NULL) {
		perror("malloc");
		return 1;
	}
	fill(memory, bytes / sizeof *memory);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (uint64_t beat = 1;; beat++) {
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		printf("beat %llu %llu\n", (unsigned long long)beat,
		       (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
		nanosleep(&pause, NULL);
		/* Keeps the compiler from leaving the memory out. */
		__asm__ volatile("" : : "r"(memory) : "memory");
	}
}
