/*
 * Mode supervise: the parent of a restored tree. It runs CRIU inside the application's container, then waits for the restored root,
 * which `criu restore --restore-sibling` makes its child, and writes the root's exit code to a file.
 */
#include "supervise.h"
#include "capabilities.h"
#include "shared/clock.h"
#include "shared/join/join.h"
#include "modes.h"
#include "shared/options.h"
#include "shared/process.h"
#include "shared/report.h"
#include "shared/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct restore {
	struct family family;
	pid_t command, root; /* root is 0 until it is known */
	bool root_ended, root_killed; /* killed: by SIGKILL */
	int command_code, root_code;
	int leash; /* standard input, whose end is that of the sidecar; -1: not watched */
};

/*
 * If the sidecar ends before the tree is complete, the tree must end. PR_SET_PDEATHSIG is not enough: the sidecar may end before the
 * call, and the signal is lost if the parent changes. The end of a pipe is never lost, so the sidecar gives one as standard input.
 */
static int take_leash(void)
{
	struct stat input;
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		die(EXIT_LAUNCHER, "prctl(PR_SET_PDEATHSIG): %m");
	bool is_pipe = fstat(STDIN_FILENO, &input) == 0 && (S_ISFIFO(input.st_mode) || S_ISSOCK(input.st_mode));
	return is_pipe ? STDIN_FILENO : -1;
}

static pid_t start_command(char **command)
{
	pid_t parent = getpid(), child = fork();
	if (child < 0)
		die(EXIT_LAUNCHER, "fork, to run \"%s\": %m", command[0]);
	if (child == 0) {
		/* If supervise is killed, CRIU must not be left. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			die(EXIT_LAUNCHER, "prctl(PR_SET_PDEATHSIG) of \"%s\": %m", command[0]);
		execute_among_strangers(command);
	}
	return child;
}

static void note_end(struct restore *restore, int status)
{
	restore->root_ended = true;
	restore->root_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	restore->root_code = exit_code_of(status);
}

/* Returns true after the command has ended. */
static bool reap(struct restore *restore)
{
	bool ended = false;
	int status;
	for (pid_t dead; (dead = waitpid(-1, &status, WNOHANG)) > 0;) {
		if (dead == restore->command) {
			restore->command_code = exit_code_of(status);
			ended = true;
		} else if (dead == restore->root) {
			note_end(restore, status);
		}
	}
	return ended;
}

/*
 * A launcher has adopted the tree, so the end of the sidecar is no longer a reason to end it. If the sidecar has just ended, its death
 * signal is pending and is dropped here. Signals from now on are obeyed.
 */
static void slip_leash(struct restore *restore)
{
	siginfo_t info;
	restore->leash = -1;
	if (prctl(PR_SET_PDEATHSIG, 0) < 0)
		warn("prctl(PR_SET_PDEATHSIG, 0): %m");
	while (next_signal(&info) > 0)
		;
}

/* Whether the sidecar has ended, or stops the restore by a signal. */
static bool must_abort(struct restore *restore)
{
	char ignored[64];
	siginfo_t info;
	bool told = false;
	for (int number; (number = next_signal(&info)) > 0;)
		told = told || number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT;
	struct pollfd entry = { .fd = restore->leash, .events = POLLIN };
	if (restore->leash < 0 || poll(&entry, 1, 0) <= 0)
		return told;
	if (read(restore->leash, ignored, sizeof ignored) <= 0)
		return true;
	slip_leash(restore);
	return false;
}

/* Returns false if the restore must end before the command has. */
static bool await_command(struct restore *restore)
{
	while (!reap(restore)) {
		struct pollfd entries[] = {
			{ .fd = restore->family.wakeup, .events = POLLIN },
			{ .fd = restore->leash, .events = POLLIN },
		};
		/* Without a signal descriptor it checks every 50 ms. */
		if (poll(entries, 2, restore->family.wakeup < 0 ? 50 : -1) < 0 && errno != EINTR)
			die(EXIT_LAUNCHER, "poll while the command runs: %m");
		if (must_abort(restore))
			return false;
	}
	return true;
}

/* The restored root: the child that --root names, or the only one that the command left. */
static bool find_root(struct restore *restore)
{
	pid_t children[2];
	siginfo_t info;
	if (restore->root_ended)
		return true;
	if (restore->root > 0) {
		if (waitid(P_PID, (id_t)restore->root, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
			return true;
		warn("waitid(%d), the restored root: %m", (int)restore->root);
		return false;
	}
	int count = list_children(&restore->family, children, 2);
	if (count != 1) {
		warn("the command left %s, not one restored root", count > 1 ? "several children" : "no child");
		return false;
	}
	restore->root = children[0];
	return true;
}

/* All signals stay blocked: from here only SIGKILL ends supervise, with the container. */
static int await_root(struct restore *restore)
{
	int status;
	while (!restore->root_ended) {
		pid_t dead = waitpid(-1, &status, 0);
		if (dead < 0 && errno != EINTR)
			die(EXIT_LAUNCHER, "waitpid for the restored root %d: %m", (int)restore->root);
		if (dead == restore->root)
			note_end(restore, status);
	}
	return restore->root_code;
}

/* Closes what the sidecar or the container waits for: the hook's socket, the images, the log pipes. */
static void settle(const struct status_file *status)
{
	if (prctl(PR_SET_PDEATHSIG, 0) < 0)
		warn("prctl(PR_SET_PDEATHSIG, 0): %m");
	/*
	 * Without capabilities supervise is like any process of root in the pod, and each of them may open its descriptors through
	 * /proc/PID/fd (ptrace_may_access, kernel/ptrace.c). The directory of the status file leads to the sidecar's file system.
	 */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		warn("prctl(PR_SET_DUMPABLE, 0): %m");
	close_descriptors(&status->directory, 1);
	drop_capabilities();
}

int supervise_mode(char **words)
{
	static const char *const known[] = { "pid=", "status=", "stdio=", "root=", NULL };
	struct options options = parse_options(words, known);
	struct restore restore = { .root = (pid_t)option_number(&options, "root", 2, 0) };
	long long pid = option_number(&options, "pid", 1, 0);
	const char *path = option_text(&options, "status"), *stdio = option_text(&options, "stdio");
	if (pid == 0 || pid > INT_MAX || !path || !options.command[0])
		die(EXIT_LAUNCHER, "usage: launcher supervise --pid=PID --status=PATH [--stdio=FD,...] [--root=PID] "
				   "-- COMMAND [ARG...]");

	block_signals();
	restore.leash = take_leash();
	restore.family.wakeup = signal_descriptor();
	restore.family.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (restore.family.proc < 0)
		die(EXIT_LAUNCHER, "open /proc: %m");
	struct status_file status = open_status(path);
	struct namespaces namespaces = open_namespaces((pid_t)pid);
	open_stdio((pid_t)pid, stdio ? stdio : "");
	join_cgroups((pid_t)pid);
	join_namespaces(&namespaces);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		die(EXIT_LAUNCHER, "prctl(PR_SET_CHILD_SUBREAPER): %m");

	restore.command = start_command(options.command);
	if (!await_command(&restore) || restore.command_code != 0 || !find_root(&restore)) {
		/*
		 * If the root ends by itself before CRIU has resumed the others, CRIU fails: the code is the root's. A CRIU that
		 * fails for another reason kills the tree with SIGKILL: that is no end of the application.
		 */
		bool by_itself = restore.root_ended && !restore.root_killed;
		if (by_itself)
			write_status(&status, restore.root_code);
		/* No process of the tree lives: a launcher that had adopted it may wait for a verdict again. */
		if (kill_descendants(&restore.family) && !by_itself)
			write_aborted(&status);
		return EXIT_LAUNCHER;
	}
	settle(&status);
	int code = await_root(&restore);
	return write_status(&status, code) ? code : EXIT_LAUNCHER;
}
