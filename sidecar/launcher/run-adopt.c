/* A restored tree is not our child: its supervisor is watched, who leaves the exit code in a file. */
#include "run.h"
#include "clock.h"
#include "options.h"

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

static bool read_status(const struct run *run, int *code)
{
	char text[16];
	long long number;
	if (!read_text_at(AT_FDCWD, run->status_path, text, sizeof text))
		return false;
	char *feed = strchr(text, '\n');
	if (!feed)
		return false;
	*feed = '\0';
	if (!parse_number(text, &number) || number > 255)
		return false;
	*code = (int)number;
	return true;
}

static void end_watch(struct run *run, int code)
{
	watch_end(&run->supervisor);
	watch_end(&run->adopted_root);
	run_ended(run, code);
}

void run_watch(struct run *run)
{
	int code;
	if (!run->supervisor_gone && watch_is_gone(&run->supervisor)) {
		run->supervisor_gone = true;
		run->status_until_ms = now_ms() + STATUS_PATIENCE_MS;
	}
	if (!run->supervisor_gone)
		return;
	if (read_status(run, &code))
		end_watch(run, code);
	/* A supervisor that was killed says nothing; its tree may live on, and the container with it. */
	else if (now_ms() >= run->status_until_ms && watch_is_gone(&run->adopted_root))
		end_watch(run, CODE_UNKNOWN);
}
