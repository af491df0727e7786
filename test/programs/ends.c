/* Waits for a file, then ends as it says: `ends FILE`, with "exit N" or "signal N" in it. Prints "waiting" every 50 ms. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **words)
{
	char how[16];
	int number;
	struct timespec pause = { 0, 50000000 };
	if (count < 2)
		return 99;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		FILE *file = fopen(words[1], "r");
		if (file && fscanf(file, "%15s %d", how, &number) == 2) {
			if (strcmp(how, "exit") == 0)
				return number;
			kill(getpid(), number);
		}
		if (file)
			fclose(file);
		printf("waiting\n");
		nanosleep(&pause, NULL);
	}
}
