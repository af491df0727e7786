/*
 * Mode guard: keeps a command running, or runs one so that it can hold nothing up. It may be a container's first
 * process, and reaps orphans as such.
 */
#include "shared/clock.h"
#include "left.h"
#include "modes.h"
#include "shared/options.h"
#include "shared/process.h"
#include "provide.h"
#include "shared/report.h"
#include "shared/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 100
/* @deadline The sidecar's program dies | `launcher guard` starts it again, at the latest */
#define BACKOFF_LAST_MS 5000
/* A command that ran for so long does not fail at its start: it is restarted quickly. */
#define RAN_WELL_MS 10000
/* A command that failed so often in a row will not watch a throttle. Before, the throttle stays: the next command starts within a second. */
#define FAILED_FOR_GOOD 3
/* @deadline The restore init container hangs | Killed after `restoreBudget` and this; it exits with 0 */
#define TERM_TO_KILL_MS 2000
#define ONCE_DEADLINE_MS (10 * 60 * 1000)

struct guard {
	char **command;
	const char *run; /* where it notes what it does to the cgroups of applications, NULL for nowhere */
	int wakeup;
	pid_t child; /* 0 while none runs */
	int code; /* of the last one */
	int told_by; /* the signal that told us to end, 0 */
	char oom_score_adj[16]; /* the command's, empty where ours is the same */
};

#define OOM_SCORE_ADJ "/proc/self/oom_score_adj"

static bool write_oom_score_adj(const char *value)
{
	int file = open(OOM_SCORE_ADJ, O_WRONLY | O_CLOEXEC);
	bool written = file >= 0 && write(file, value, strlen(value)) == (ssize_t)strlen(value);
	if (file >= 0)
		close(file);
	return written;
}

/*
 * Where the sidecar is out of memory the kernel kills all of its container (the kubelet sets memory.oom.group), but whoever has -1000: so we
 * are there to let go what it froze, and the kubelet's back-off does not begin. Without CAP_SYS_RESOURCE it is refused, and we die with it.
 */
static void outlive_the_oom_killer(struct guard *guard)
{
	if (read_text_at(AT_FDCWD, OOM_SCORE_ADJ, guard->oom_score_adj, sizeof guard->oom_score_adj) &&
	    !write_oom_score_adj("-1000"))
		guard->oom_score_adj[0] = '\0';
}

static void start(struct guard *guard)
{
	guard->child = fork();
	if (guard->child < 0) {
		warn("fork, to run \"%s\": %m", guard->command[0]);
		guard->child = 0;
		guard->code = EXIT_LAUNCHER;
	} else if (guard->child == 0) {
		if (guard->oom_score_adj[0] && !write_oom_score_adj(guard->oom_score_adj))
			warn("write to " OOM_SCORE_ADJ ": %m");
		execute(guard->command);
	}
}

static void reap(struct guard *guard)
{
	int status;
	for (pid_t dead; (dead = waitpid(-1, &status, WNOHANG)) > 0;)
		if (dead == guard->child) {
			guard->child = 0;
			guard->code = exit_code_of(status);
		}
}

static void forward(struct guard *guard, int number)
{
	if (number == SIGTERM || number == SIGINT || number == SIGQUIT)
		guard->told_by = number;
	else if (number != SIGHUP && number != SIGUSR1 && number != SIGUSR2)
		return;
	if (guard->child > 0 && kill(guard->child, number) < 0 && errno != ESRCH)
		warn("kill(%d, %d), to forward a signal: %m", (int)guard->child, number);
}

/* Waits for signals and takes them in. */
static void attend(struct guard *guard, long long deadline_ms)
{
	siginfo_t info;
	struct pollfd entry = { .fd = guard->wakeup, .events = POLLIN };
	if (guard->wakeup < 0)
		deadline_ms = earlier_ms(deadline_ms, now_ms() + 50);
	if (poll(&entry, 1, poll_timeout_ms(deadline_ms)) < 0 && errno != EINTR)
		die(EXIT_LAUNCHER, "poll for signals: %m");
	for (int number; (number = next_signal(&info)) > 0;)
		if (number == SIGCHLD)
			reap(guard);
		else
			forward(guard, number);
}

/* The next life may not come to it soon: it fails at its start, or we are told to end. */
static void clean_up(const struct guard *guard, int failed)
{
	if (guard->run)
		clear_what_is_left(guard->run, guard->told_by || failed >= FAILED_FOR_GOOD);
}

static int keep_running(struct guard *guard)
{
	long long backoff_ms = BACKOFF_FIRST_MS;
	int failed = 0; /* in a row */
	outlive_the_oom_killer(guard);
	while (!guard->told_by) {
		long long since = now_ms();
		start(guard);
		while (guard->child > 0)
			attend(guard, NEVER_MS);
		bool ran_well = now_ms() - since >= RAN_WELL_MS;
		failed = ran_well ? 1 : failed + 1;
		clean_up(guard, failed);
		if (guard->told_by)
			return guard->code;
		if (ran_well)
			backoff_ms = BACKOFF_FIRST_MS;
		warn("\"%s\" ended with code %d: it is started again in %lld ms", guard->command[0], guard->code, backoff_ms);
		for (long long again = now_ms() + backoff_ms; !guard->told_by && now_ms() < again;)
			attend(guard, again);
		backoff_ms = 2 * backoff_ms < BACKOFF_LAST_MS ? 2 * backoff_ms : BACKOFF_LAST_MS;
	}
	clean_up(guard, failed);
	return 128 + guard->told_by;
}

static void end_child(const struct guard *guard, int number)
{
	if (kill(guard->child, number) < 0 && errno != ESRCH)
		warn("kill(%d, %d), \"%s\" at its deadline: %m", (int)guard->child, number, guard->command[0]);
}

static void run_once(struct guard *guard, long long duration_ms)
{
	long long grace_ms = duration_ms / 2 < TERM_TO_KILL_MS ? duration_ms / 2 : TERM_TO_KILL_MS;
	long long kill_at = now_ms() + duration_ms, term_at = kill_at - grace_ms;
	start(guard);
	while (guard->child > 0 && now_ms() < term_at)
		attend(guard, term_at);
	if (guard->child > 0) {
		warn("\"%s\" has not ended in %lld ms: it is told to", guard->command[0], duration_ms - grace_ms);
		end_child(guard, SIGTERM);
	}
	while (guard->child > 0 && now_ms() < kill_at)
		attend(guard, kill_at);
	if (guard->child > 0)
		end_child(guard, SIGKILL);
	else if (guard->code != 0)
		warn("\"%s\" ended with code %d; nothing is held up by that", guard->command[0], guard->code);
}

int guard_mode(char **words)
{
	static const char *const known[] = { "once", "deadline-ms=", "provide=", "thaw=", NULL };
	struct options options = parse_options(words, known);
	struct guard guard = { .command = options.command, .run = option_text(&options, "thaw") };
	if (!guard.command[0])
		die(EXIT_LAUNCHER, "usage: launcher guard [--once --deadline-ms=N] [--provide=PATH] [--thaw=FOLDER] "
				   "-- COMMAND [ARG...]");
	secure_stdio();
	block_signals();
	guard.wakeup = signal_descriptor();
	if (option_text(&options, "provide"))
		provide_self(option_text(&options, "provide"));
	if (!option_flag(&options, "once"))
		return keep_running(&guard);
	run_once(&guard, option_number(&options, "deadline-ms", 1, ONCE_DEADLINE_MS));
	return 0;
}
