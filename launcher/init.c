#include "init.h"
#include "modes.h"
#include "process.h"
#include "report.h"
#include "signals.h"
#include "title.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start_application(char **command)
{
	pid_t child = fork();
	if (child < 0)
		die(EXIT_LAUNCHER, "fork, to start \"%s\": %m", command[0]);
	if (child == 0) {
		/* Its own group, as from a shell: what it sends to its group does not reach us. */
		if (setpgid(0, 0) < 0)
			warn("setpgid of the application: %m");
		execute(command);
	}
	/* Also here, so that it holds before our first signal, whoever of the two runs first. Then EACCES is in order. */
	if (setpgid(child, child) < 0 && errno != EACCES && errno != ESRCH)
		warn("setpgid of the application, process %d: %m", (int)child);
	return child;
}

/* Exits when the application is among the dead; what it leaves running, the container's end ends. */
static void reap(pid_t application)
{
	int status;
	for (pid_t dead; (dead = waitpid(-1, &status, WNOHANG)) > 0;)
		if (dead == application)
			_exit(exit_code_of(status));
}

void be_tree_root(char **command)
{
	/* Its own session, or CRIU would ask for --shell-job; subreaper, so that daemons stay inside the dumped tree. */
	if (setsid() < 0)
		die(EXIT_LAUNCHER, "setsid of the tree's root: %m");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		die(EXIT_LAUNCHER, "prctl(PR_SET_CHILD_SUBREAPER): %m");
	pid_t application = start_application(command);
	close_descriptors(NULL, 0);
	title_set("reprieve-init", command);

	sigset_t set = every_signal();
	for (;;) {
		siginfo_t info;
		int number = sigwaitinfo(&set, &info);
		if (number < 0 && errno != EINTR)
			die(EXIT_LAUNCHER, "sigwaitinfo in the tree's root: %m");
		if (number == SIGCHLD)
			reap(application);
		/* Sent by a process (si_code <= 0), not by the kernel about us. Stops too: it is the application's to stop. */
		else if (number > 0 && info.si_code <= 0 && kill(application, number) < 0)
			warn("kill(%d, %d), to forward a signal to the application: %m", (int)application, number);
	}
}
