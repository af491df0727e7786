/* Counts: `steps COUNT MS [CODE]` prints "step N HASH" on stdout and "note N" on stderr every MS milliseconds, each hash made of
 * the one before, and ends with CODE. Once there is the file that HURRY names it rests no more. On SIGTERM it prints "told to end at N"
 * and ends with 7. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t told;

static void on_term(int number)
{
	told = number;
}

int main(int count_words, char **words)
{
	long count = count_words > 1 ? atol(words[1]) : 100, pause_ms = count_words > 2 ? atol(words[2]) : 20;
	uint64_t hash = 14695981039346656037u;
	const char *hurry = getenv("HURRY");
	struct timespec pause = { pause_ms / 1000, pause_ms % 1000 * 1000000 };

	signal(SIGTERM, on_term);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long step = 1; step <= count; step++) {
		hash = (hash ^ (uint64_t)step) * 1099511628211u;
		printf("step %ld %016" PRIx64 "\n", step, hash);
		fprintf(stderr, "note %ld\n", step);
		if (!hurry || access(hurry, F_OK) != 0)
			nanosleep(&pause, NULL);
		if (told) {
			printf("told to end at %ld\n", step);
			return 7;
		}
	}
	printf("final %016" PRIx64 "\n", hash);
	return count_words > 3 ? atoi(words[3]) : 0;
}
