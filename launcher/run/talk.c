/* The messages between mode run and the sidecar. */
#include "run.h"
#include "shared/clock.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* @deadline The sidecar is missing when the application ends | The container ends with the application's exit code */
#define PATIENCE_AFTER_END_MS 2000

/* ` told=N`, or nothing if no end signal was forwarded. */
static const char *told_key(const struct run *run, char *text, size_t size)
{
	snprintf(text, size, run->told ? " told=%d" : "", run->told);
	return text;
}

static void say_gone(struct run *run)
{
	char told[16];
	wire_say(&run->wire, "gone code=%d%s", run->code, told_key(run, told, sizeof told));
}

/* The first message of each connection is the state: the sidecar may have restarted. */
void run_introduce(struct run *run)
{
	char state[96], told[16];
	switch (run->stage) {
	case STAGE_WAITING:
		snprintf(state, sizeof state, "waiting");
		break;
	case STAGE_RUNNING:
		snprintf(state, sizeof state, "running root=%d", (int)run->root);
		break;
	case STAGE_ADOPTED:
		snprintf(state, sizeof state, "adopted root=%d supervisor=%d", (int)run->root, (int)run->supervisor.pid);
		break;
	default:
		snprintf(state, sizeof state, "gone code=%d%s", run->code, told_key(run, told, sizeof told));
	}
	wire_say(&run->wire, "run container=%s pid=%d launcher=%s state=%s", run->container, (int)getpid(), run->hash,
		 state);
}

/* Answers a verdict that is late or repeated with the state. */
static void say_stage(struct run *run)
{
	if (run->stage == STAGE_RUNNING)
		wire_say(&run->wire, "started root=%d", (int)run->root);
	else if (run->stage == STAGE_ADOPTED)
		wire_say(&run->wire, "adopted");
	else
		say_gone(run);
}

static bool hear_wait(struct run *run, const struct message *message)
{
	long long duration_ms, now = now_ms();
	if (!message_number(message, "ms", &duration_ms))
		return false;
	bool counts_now = run->stage == STAGE_WAITING || run->stage == STAGE_GONE;
	long long latest = counts_now ? run->waits_end_ms : now + LONGEST_WAIT_MS;
	run->said_until_ms = now + duration_ms < latest ? now + duration_ms : latest;
	if (counts_now)
		run->deadline_ms = run->said_until_ms;
	run->heard_ms = now;
	return true;
}

/*
 * The sidecar's next message comes within `ms`. A sidecar of an older version gives no `ms` and sends no further message: the launcher
 * then waits without a deadline.
 */
static bool hear_hold(struct run *run, const struct message *message)
{
	long long silence_ms = 0;
	if (message_text(message, "ms") && !message_number(message, "ms", &silence_ms))
		return false;
	if (run->stage != STAGE_GONE && run->stage != STAGE_KEPT_OPEN)
		return true;
	run->stage = STAGE_KEPT_OPEN;
	run->silence_ms = silence_ms < LONGEST_WAIT_MS ? silence_ms : LONGEST_WAIT_MS;
	run->heard_ms = now_ms();
	return true;
}

static bool hear_withhold(struct run *run, const struct message *message)
{
	long long duration_ms;
	if (!message_number(message, "ms", &duration_ms))
		return false;
	run->withhold_until_ms = now_ms() + (duration_ms < LONGEST_WAIT_MS ? duration_ms : LONGEST_WAIT_MS);
	return true;
}

/* Never while the application runs: two of it would use one volume. */
static bool hear_adopt(struct run *run, const struct message *message)
{
	long long root, supervisor;
	const char *path = message_text(message, "status");
	if (!path || !message_number(message, "root", &root) || !message_number(message, "supervisor", &supervisor) ||
	    root < 2 || root > INT_MAX || supervisor < 2 || supervisor > INT_MAX)
		return false;
	if (run->stage == STAGE_ADOPTED && (root != run->root || supervisor != run->supervisor.pid))
		return false;
	if (run->stage == STAGE_WAITING && !run_adopt(run, (pid_t)root, (pid_t)supervisor, path))
		return false;
	say_stage(run);
	return true;
}

/* Returns false for a message that is not of the protocol. */
static bool hear(struct run *run, const struct message *message)
{
	if (strcmp(message->verb, "wait") == 0)
		return hear_wait(run, message);
	if (strcmp(message->verb, "withhold") == 0)
		return hear_withhold(run, message);
	if (strcmp(message->verb, "adopt") == 0)
		return hear_adopt(run, message);
	if (strcmp(message->verb, "start") == 0) {
		if (run->stage == STAGE_WAITING)
			run_start(run);
		else
			say_stage(run);
		return true;
	}
	if (strcmp(message->verb, "hold") == 0)
		return hear_hold(run, message);
	if (strcmp(message->verb, "release") == 0) {
		long long code;
		if (run->stage == STAGE_KEPT_OPEN && message_number(message, "code", &code) && code <= 255)
			run->code = (int)code;
		if (run->stage == STAGE_GONE || run->stage == STAGE_KEPT_OPEN)
			run->stage = STAGE_OVER;
		return true;
	}
	return false;
}

void run_listen(struct run *run)
{
	struct message message;
	enum arrival arrival = ARRIVED_NOTHING;
	bool open = wire_receive(&run->wire);
	while (run->stage != STAGE_OVER && (arrival = wire_next(&run->wire, &message)) == ARRIVED_MESSAGE)
		if (!hear(run, &message)) {
			arrival = ARRIVED_GARBAGE;
			break;
		}
	if (!open || run->wire.ended || arrival == ARRIVED_GARBAGE)
		wire_close(&run->wire);
}

/* Asks the sidecar for the permission to exit. A `wait` from before the end counts. */
void run_ended(struct run *run, int code)
{
	long long least = now_ms() + PATIENCE_AFTER_END_MS;
	run->stage = STAGE_GONE;
	run->code = code;
	run->deadline_ms = run->said_until_ms > least ? run->said_until_ms : least;
	run->waits_end_ms = now_ms() + LONGEST_WAIT_MS;
	say_gone(run);
}
