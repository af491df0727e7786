/*
 * Holds pages of a file in constant use: `hot ANONYMOUS FILE MEBIBYTES` fills ANONYMOUS mebibytes of its own memory, makes FILE, maps MEBIBYTES
 * of it and reads a byte of every page, round after round, 5 ms apart; says "lap N MS" for each round.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MEBIBYTE ((size_t)1 << 20)

static long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int count, char **words)
{
	static char block[MEBIBYTE];
	if (count < 4)
		return 3;
	size_t anonymous = (size_t)atol(words[1]) * MEBIBYTE, bytes = (size_t)atol(words[3]) * MEBIBYTE;
	int file = open(words[2], O_RDWR | O_CREAT | O_TRUNC, 0600);
	memset(block, 1, sizeof block);
	for (size_t at = 0; at < bytes; at += sizeof block)
		if (write(file, block, sizeof block) != sizeof block) {
			perror("write");
			return 4;
		}
	fsync(file);
	char *own = mmap(NULL, anonymous, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile char *pages = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, 0);
	if (own == MAP_FAILED || pages == MAP_FAILED) {
		perror("mmap");
		return 4;
	}
	memset(own, 1, anonymous);
	struct timespec rest = { 0, 5000000 };
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long lap = 1;; lap++) {
		long began = now_ms();
		for (size_t at = 0; at < bytes; at += 4096)
			(void)pages[at];
		printf("lap %ld %ld\n", lap, now_ms() - began);
		nanosleep(&rest, NULL);
	}
}
