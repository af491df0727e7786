/* Shared by the files of mode run. */
#ifndef RUN_H
#define RUN_H

#include "shared/process.h"
#include "shared/wire/wire.h"

#include <stdint.h>

/* For all `wait`s of one question together. */
/* @deadline The sidecar only ever asks the launcher to wait | The launcher starts the application */
#define LONGEST_WAIT_MS (30 * 60 * 1000)

enum stage {
	STAGE_WAITING, /* the launcher waits for the sidecar's verdict */
	STAGE_RUNNING, /* the launcher has started the application */
	STAGE_ADOPTED, /* the launcher watches a restored tree, whose parent is a supervisor */
	STAGE_GONE, /* the application has ended; the launcher waits for the permission to exit */
	STAGE_KEPT_OPEN, /* a checkpoint ended the application; the container stays until it is told to end */
	STAGE_OVER, /* exit with `code` */
};

struct run {
	const char *container;
	char **command;
	char hash[24];
	enum stage stage;
	int code;
	int told; /* the last end signal that was forwarded, or 0 */
	pid_t root;
	struct wire wire;
	int wakeup; /* signal descriptor */
	long long reconnect_at_ms;
	long long deadline_ms; /* for the sidecar's answer, before the start and after the end */
	long long waits_end_ms; /* a `wait` moves the deadline no further */
	long long connected_ms; /* when the launcher connected last */
	long long heard_ms; /* the sidecar's last `wait` or `hold`, at first the launcher's own start */
	long long silence_ms; /* while the container is kept open: how long a connected sidecar may send nothing; 0: no bound */
	long long patience_ms; /* from `heard_ms` to failing open */
	long long patience_with_checkpoint_ms; /* the same if there is a checkpoint to restore */
	long long said_until_ms; /* the end of the last `wait` */
	uint64_t owed_signals; /* bit n-1: the sidecar must send signal n for the launcher */
	uint64_t withheld; /* bit n-1: end signal n is delayed until `withhold_until_ms` */
	long long withhold_until_ms;

	struct watch supervisor, adopted_root;
	bool supervisor_gone;
	long long status_until_ms;
	char status_path[MESSAGE_SIZE];
};

/* run.c */
void run_start(struct run *run);
void run_ended(struct run *run, int code);

/* talk.c */
void run_introduce(struct run *run);
void run_listen(struct run *run);

/* adopt.c: returns false if the tree does not exist */
bool run_adopt(struct run *run, pid_t root, pid_t supervisor, const char *status_path);
void run_watch(struct run *run);

#endif
