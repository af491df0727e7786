/*
 * Comes near its limit and goes back: `sawtooth MEBIBYTES TIMES [SLICES]` allocates and touches MEBIBYTES, gives them back, so many TIMES,
 * says "tooth N" now and then, and "done". With SLICES it says instead how many microseconds of processor time each of so many
 * slices of TIMES teeth took, "slice N US", waiting for a line on its standard input before each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

static long used_us(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void tooth(size_t bytes)
{
	volatile char *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED) {
		perror("mmap");
		exit(4);
	}
	for (size_t at = 0; at < bytes; at += 4096)
		block[at] = 1;
	munmap((void *)block, bytes);
}

int main(int count, char **words)
{
	size_t bytes = (size_t)(count > 1 ? atol(words[1]) : 64) << 20;
	long times = count > 2 ? atol(words[2]) : 100, slices = count > 3 ? atol(words[3]) : 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long slice = 1; slice <= slices; slice++) {
		if (getchar() == EOF)
			return 3;
		long before = used_us();
		for (long at = 0; at < times; at++)
			tooth(bytes);
		printf("slice %ld %ld\n", slice, used_us() - before);
	}
	for (long at = 1; !slices && at <= times; at++) {
		tooth(bytes);
		if (at % 100 == 0)
			printf("tooth %ld\n", at);
	}
	printf("done\n");
	return 0;
}
