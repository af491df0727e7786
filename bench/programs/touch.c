/* Takes memory and gives it back: `touch MIB` writes to every page of MIB mebibytes and ends. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int count, char **words)
{
	if (count != 2 || atol(words[1]) < 1) {
		fputs("usage: touch MIB\n", stderr);
		return 2;
	}
	if (mmap(NULL, (size_t)atol(words[1]) << 20, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	return 0;
}
