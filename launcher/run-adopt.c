/* A restored tree is not our child: its supervisor is watched, who leaves the exit code in a file. */
#include "run.h"
#include "clock.h"
#include "options.h"
#include "report.h"
#include "supervise.h"

#include <fcntl.h>
#include <string.h>

/* The supervisor writes the file before it ends, so this is for a slow volume only. */
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
 * CRIU was broken off before it had let go of the tree, for a sidecar that hangs, say: what has never gone on has not ended. The sidecar
 * hears of it by a new connection, and may restore it again.
 */
static void wait_again(struct run *run)
{
	warn("the restore was broken off before the application went on: waiting for the sidecar again");
	run->stage = STAGE_WAITING;
	run->root = 0;
	run->owed_signals = 0; /* nobody is left to get them */
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
	/* A supervisor that was killed says nothing; its tree may live on, and the container with it. */
	if (!read_status(run, &code, &aborted) &&
	    (now_ms() < run->status_until_ms || !watch_is_gone(&run->adopted_root)))
		return;
	end_watch(run);
	/* Told to end, it would not be started again. */
	if (aborted && !run->told)
		wait_again(run);
	else
		run_ended(run, code);
}
