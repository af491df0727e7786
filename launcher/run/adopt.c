/* A restored tree is not the launcher's child: the launcher watches the supervisor, which writes the exit code to a file. */
#include "run.h"
#include "shared/clock.h"
#include "shared/options.h"
#include "shared/report.h"
#include "shared/aborted.h"

#include <fcntl.h>
#include <string.h>

/* The supervisor writes the file before it exits: this is for a slow volume. */
#define STATUS_PATIENCE_MS 1000
#define CODE_UNKNOWN 137

bool run_adopt(struct run *run, pid_t root, pid_t supervisor, const char *status_path)
{
	if (!watch_process(&run->supervisor, supervisor))
		return false;
	if (!watch_process(&run->adopted_root, root)) {
		watch_end(&run->supervisor);
		return false;
	}
	run->stage = STAGE_ADOPTED;
	run->root = root;
	run->deadline_ms = NEVER_MS;
	strcpy(run->status_path, status_path);
	return true;
}

static bool read_status(const struct run *run, int *code, bool *aborted)
{
	char text[16];
	long long number;
	if (!read_text_at(AT_FDCWD, run->status_path, text, sizeof text))
		return false;
	*aborted = strcmp(text, STATUS_ABORTED) == 0;
	if (*aborted)
		return true;
	char *feed = strchr(text, '\n');
	if (!feed)
		return false;
	*feed = '\0';
	if (!parse_number(text, &number) || number > 255)
		return false;
	*code = (int)number;
	return true;
}

static void end_watch(struct run *run)
{
	watch_end(&run->supervisor);
	watch_end(&run->adopted_root);
	run->supervisor_gone = false;
}

/*
 * CRIU ended before it resumed the tree, because the sidecar hangs, for example. The application has not run, so it has not ended. The
 * launcher reports its state on a new connection, and the sidecar may restore the application again.
 */
static void wait_again(struct run *run)
{
	warn("the restore ended before the application resumed: waiting for the sidecar again");
	run->stage = STAGE_WAITING;
	run->root = 0;
	run->owed_signals = 0; /* the processes that they are for have ended */
	run->heard_ms = run->reconnect_at_ms = now_ms();
	run->deadline_ms = run->heard_ms + run->patience_ms;
	run->waits_end_ms = run->heard_ms + LONGEST_WAIT_MS;
	wire_close(&run->wire);
}

void run_watch(struct run *run)
{
	int code = CODE_UNKNOWN;
	bool aborted = false;
	if (!run->supervisor_gone && watch_is_gone(&run->supervisor)) {
		run->supervisor_gone = true;
		run->status_until_ms = now_ms() + STATUS_PATIENCE_MS;
	}
	if (!run->supervisor_gone)
		return;
	/* A supervisor that was killed writes no code. Its tree may still run, and the container then continues. */
	if (!read_status(run, &code, &aborted) &&
	    (now_ms() < run->status_until_ms || !watch_is_gone(&run->adopted_root)))
		return;
	end_watch(run);
	/* After an end signal the application is not to start again. */
	if (aborted && !run->told && !run->withheld)
		wait_again(run);
	else
		run_ended(run, code);
}
