/*
 * A program that notices what is done to it: a large memory whose every word it knows, a child it talks to in each step,
 * and a line for each step. It knows nothing of Reprieve.
 *
 *   survivor MIB STEP_MS CONTROL_FOLDER
 *
 * Files in the control folder, looked for in each step: `doom` makes it remember that it is doomed, `die` makes one that is
 * doomed exit with 7, `exit-N` makes it exit with N, `greet` makes it greet. With TERM_CODE set it exits with that upon SIGTERM, two steps later.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SLICE_WORDS ((size_t)1 << 17) /* 1 MiB */

static volatile sig_atomic_t told;

static void on_term(int number)
{
	told = number;
}

static uint64_t word(uint64_t index, uint64_t round)
{
	uint64_t x = (index + 1) * 0x9e3779b97f4a7c15u + round * 0xbf58476d1ce4e5b9u;
	x ^= x >> 29;
	return x * 0x94d049bb133111ebu;
}

static void fill(uint64_t *memory, size_t slice, uint64_t round)
{
	for (size_t at = slice * SLICE_WORDS; at < (slice + 1) * SLICE_WORDS; at++)
		memory[at] = word(at, round);
}

static void check(const uint64_t *memory, size_t slice, uint64_t round)
{
	for (size_t at = slice * SLICE_WORDS; at < (slice + 1) * SLICE_WORDS; at++)
		if (memory[at] != word(at, round)) {
			printf("word %zu of round %llu is damaged\n", at, (unsigned long long)round);
			exit(8);
		}
}

static int there(const char *folder, const char *name)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return access(path, F_OK) == 0;
}

static void obey(const char *folder, int *doomed)
{
	char name[16];
	if (there(folder, "greet"))
		printf("greetings\n");
	if (!*doomed && there(folder, "doom")) {
		*doomed = 1;
		printf("doomed\n");
	}
	if (*doomed && there(folder, "die"))
		exit(7);
	for (int code = 0; code < 10; code++) {
		snprintf(name, sizeof name, "exit-%d", code);
		if (there(folder, name))
			exit(code);
	}
}

static void all(ssize_t done)
{
	if (done != sizeof(uint64_t)) {
		printf("the child is lost: %zd\n", done);
		exit(9);
	}
}

static void echo(int in, int out)
{
	uint64_t step;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(in, &step, sizeof step) == sizeof step)
		if (write(out, &step, sizeof step) != sizeof step)
			break;
	_exit(0);
}

int main(int argc, char **argv)
{
	int to[2], from[2], doomed = 0, told_for = 0;
	if (argc != 4)
		return 2;
	size_t slices = strtoul(argv[1], NULL, 10);
	long step_ms = strtol(argv[2], NULL, 10);
	const char *term_code = getenv("TERM_CODE");
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (term_code)
		signal(SIGTERM, on_term);
	uint64_t *memory = mmap(NULL, slices << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || pipe(to) != 0 || pipe(from) != 0)
		return 3;
	pid_t child = fork();
	if (child < 0)
		return 4;
	if (child == 0) {
		signal(SIGTERM, SIG_IGN);
		close(to[1]);
		close(from[0]);
		echo(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	for (size_t slice = 0; slice < slices; slice++)
		fill(memory, slice, 0);
	printf("began\n");
	for (uint64_t step = 1;; step++) {
		size_t slice = step % slices;
		uint64_t answer = 0, round = step / slices;
		/* Each slice was written last when its turn came before, a round ago. */
		check(memory, slice, round == 0 ? 0 : round - 1);
		fill(memory, slice, round);
		all(write(to[1], &step, sizeof step));
		all(read(from[0], &answer, sizeof answer));
		if (answer != step)
			return 9;
		printf("step %llu\n", (unsigned long long)step);
		obey(argv[3], &doomed);
		if (told && told_for++ == 0)
			printf("told to end\n");
		if (told_for > 2)
			exit(atoi(term_code));
		struct timespec pause = { step_ms / 1000, step_ms % 1000 * 1000000 };
		while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
			;
	}
}
