/* What the files of mode run share. */
#ifndef RUN_H
#define RUN_H

#include "process.h"
#include "wire.h"

#include <stdint.h>

/* All `wait`s of one question together. */
#define LONGEST_WAIT_MS (30 * 60 * 1000)

enum stage {
	STAGE_WAITING, /* for the sidecar's verdict */
	STAGE_RUNNING, /* the application, started by us */
	STAGE_ADOPTED, /* a restored tree, whose parent is a supervisor */
	STAGE_GONE, /* the application ended; may we? */
	STAGE_HOLDING, /* a checkpoint was taken; we keep the container's filesystem until told to end */
	STAGE_OVER, /* exit with `code` */
};

struct run {
	const char *container;
	char **command;
	char hash[24];
	enum stage stage;
	int code;
	int told; /* the signal that told the application to end, 0 */
	pid_t root;
	struct wire wire;
	int wakeup; /* signal descriptor */
	long long reconnect_at_ms;
	long long deadline_ms; /* of the verdict, before the start and after the end */
	long long waits_end_ms; /* no `wait` goes past it */
	long long heard_ms; /* the sidecar's last word before its verdict, at first our own start */
	long long patience_ms; /* from there */
	long long patience_with_checkpoint_ms; /* from there, where one is kept to go on from */
	long long said_until_ms; /* what the last `wait` asked for */
	uint64_t owed_signals; /* bit n-1: the sidecar must send signal n for us */
	uint64_t withheld; /* bit n-1: signal n asks for the end, and is passed on when its time comes */
	long long withhold_until_ms;

	struct watch supervisor, adopted_root;
	bool supervisor_gone;
	long long status_until_ms;
	char status_path[MESSAGE_SIZE];
};

/* run.c */
void run_start(struct run *run);
void run_ended(struct run *run, int code);

/* run-talk.c */
void run_introduce(struct run *run);
void run_listen(struct run *run);

/* run-adopt.c: false where the tree is not there to be adopted */
bool run_adopt(struct run *run, pid_t root, pid_t supervisor, const char *status_path);
void run_watch(struct run *run);

#endif
