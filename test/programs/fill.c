/*
 * Fills memory: `fill MEBIBYTES THREADS PAUSE_US[@FROM] [then-hold]` allocates and touches MEBIBYTES in all, a mebibyte at a time, by
 * so many threads, each pausing PAUSE_US microseconds between two (0: as fast as it can) from mebibyte FROM on, saying "mib N" now and
 * then; reads all of it back, says "sum HASH" and "done", and ends with 0, or holds it until it is told to end.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MEBIBYTE ((size_t)1 << 20)

static atomic_long filled;
static long mebibytes, threads, pause_us, pause_from;
static uint64_t **blocks;

static void *fill(void *given)
{
	struct timespec pause = { pause_us / 1000000, pause_us % 1000000 * 1000 };
	for (long at = (long)(intptr_t)given; at < mebibytes; at += threads) {
		uint64_t *block = mmap(NULL, MEBIBYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (block == MAP_FAILED) {
			perror("mmap");
			exit(4);
		}
		for (size_t i = 0; i < MEBIBYTE / sizeof *block; i++)
			block[i] = ((uint64_t)at << 32 | i) * 0x9e3779b97f4a7c15u;
		blocks[at] = block;
		atomic_fetch_add(&filled, 1);
		if (pause_us > 0 && at >= pause_from)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

static uint64_t sum(void)
{
	uint64_t hash = 14695981039346656037u;
	for (long at = 0; at < mebibytes; at++)
		for (size_t i = 0; i < MEBIBYTE / sizeof *blocks[at]; i++)
			hash = (hash ^ blocks[at][i]) * 1099511628211u;
	return hash;
}

int main(int count, char **words)
{
	pthread_t ids[64];
	struct timespec tick = { 0, 5000000 };
	long said = -1;
	mebibytes = count > 1 ? atol(words[1]) : 64;
	threads = count > 2 ? atol(words[2]) : 1;
	const char *from = count > 3 ? strchr(words[3], '@') : NULL;
	pause_us = count > 3 ? atol(words[3]) : 0;
	pause_from = from ? atol(from + 1) : 0;
	if (threads < 1 || threads > 64 || mebibytes < 1 || !(blocks = calloc((size_t)mebibytes, sizeof *blocks)))
		return 3;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, fill, (void *)(intptr_t)i))
			return 3;
	while (atomic_load(&filled) < mebibytes) {
		long now = atomic_load(&filled);
		if (now != said)
			printf("mib %ld\n", said = now);
		nanosleep(&tick, NULL);
	}
	for (long i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	printf("mib %ld\n", mebibytes);
	printf("sum %016" PRIx64 "\n", sum());
	printf("done\n");
	if (count > 4 && strcmp(words[4], "then-hold") == 0)
		pause();
	return 0;
}
