/*
 * Leaks: `leak START_MIB PAUSE_MS` holds START_MIB at once, says "begun", and from then on a mebibyte more every PAUSE_MS milliseconds for
 * ever, saying "mib N".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static void hold(long mebibytes)
{
	size_t bytes = (size_t)mebibytes << 20;
	char *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED) {
		perror("mmap");
		exit(4);
	}
	memset(block, 1, bytes);
}

int main(int count, char **words)
{
	long held = count > 1 ? atol(words[1]) : 1, pause_ms = count > 2 ? atol(words[2]) : 1000;
	struct timespec pause = { pause_ms / 1000, pause_ms % 1000 * 1000000 };
	setvbuf(stdout, NULL, _IOLBF, 0);
	hold(held);
	printf("begun\n");
	for (;;) {
		printf("mib %ld\n", held);
		nanosleep(&pause, NULL);
		hold(1);
		held++;
	}
}
