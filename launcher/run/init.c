#include "init.h"
#include "shared/process.h"
#include "shared/report.h"
#include "shared/signals.h"
#include "shared/title.h"

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
		/* A process group of its own, as from a shell: a signal to that group does not reach the root. */
		if (setpgid(0, 0) < 0)
			warn("setpgid of the application: %m");
		execute(command);
	}
	/* Here too, so that the group exists before the root forwards a signal, whichever of the two runs first. EACCES: the child has already executed. */
	if (setpgid(child, child) < 0 && errno != EACCES && errno != ESRCH)
		warn("setpgid of the application, process %d: %m", (int)child);
	return child;
}

/* Exits if the application has ended. The end of the container ends the processes that it leaves. */
static void reap(pid_t application)
{
	int status;
	for (pid_t dead; (dead = waitpid(-1, &status, WNOHANG)) > 0;)
		if (dead == application)
			_exit(exit_code_of(status));
}

void be_tree_root(char **command)
{
	/* A session of its own, or CRIU requires --shell-job. A subreaper, so that daemons stay in the tree that CRIU dumps. */
	/* It belongs to the application, and is dumped and traced with it. */
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		warn("prctl(PR_SET_DUMPABLE, 1) of the tree's root: %m");
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
		/* Only a signal from a process (si_code <= 0): the kernel's are about the root itself. Stop signals too: they are for the application. */
		else if (number > 0 && info.si_code <= 0 && kill(application, number) < 0)
			warn("kill(%d, %d), to forward a signal to the application: %m", (int)application, number);
	}
}
