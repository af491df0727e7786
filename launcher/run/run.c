/* Mode run: the entry process of a protected container. */
#include "run.h"
#include "shared/clock.h"
#include "identity.h"
#include "init.h"
#include "modes.h"
#include "shared/options.h"
#include "shared/report.h"
#include "shared/signals.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* @deadline The sidecar is missing or never answers | The launcher starts the application */
#define PATIENCE_MS 10000
/* If there is a checkpoint: a start without it loses its work, and a busy node starts the sidecar late. */
/* @deadline The sidecar is missing, and a checkpoint exists | The application starts from its beginning */
#define PATIENCE_WITH_CHECKPOINT_MS 120000
#define RECONNECT_MS 250
/* How often to check what cannot wake poll. */
#define TICK_MS 50

void run_start(struct run *run)
{
	run->root = fork();
	if (run->root < 0)
		die(EXIT_LAUNCHER, "fork, to start the application: %m");
	if (run->root == 0)
		be_tree_root(run->command);
	/* The inherited descriptors belong to the application now: a pipe must end when the application closes it. */
	const int kept[] = { run->wire.descriptor, run->wakeup };
	close_descriptors(kept, sizeof kept / sizeof kept[0]);
	run->stage = STAGE_RUNNING;
	run->deadline_ms = NEVER_MS;
	wire_say(&run->wire, "started root=%d", (int)run->root);
}

static void reconnect(struct run *run)
{
	if (!wire_is_open(&run->wire) && now_ms() >= run->reconnect_at_ms) {
		run->reconnect_at_ms = now_ms() + RECONNECT_MS;
		if (wire_connect(&run->wire)) {
			run->connected_ms = now_ms();
			run_introduce(run);
		}
	}
	while (wire_is_open(&run->wire) && run->owed_signals) {
		int number = __builtin_ctzll(run->owed_signals) + 1;
		run->owed_signals &= run->owed_signals - 1;
		wire_say(&run->wire, "signal number=%d root=%d", number, (int)run->root);
	}
}

/* Reaps the root, and orphans if the launcher is the first process of its PID namespace. */
static void reap(struct run *run)
{
	int status;
	for (pid_t dead; (dead = waitpid(-1, &status, WNOHANG)) > 0;)
		if (run->stage == STAGE_RUNNING && dead == run->root)
			run_ended(run, exit_code_of(status));
}

static void forward(struct run *run, int number, const siginfo_t *info)
{
	/* An application that exits with 0 after an end signal has not finished its work: a restarted sidecar must know. */
	if (signal_asks_for_end(info))
		run->told = number;
	if (kill(run->root, number) == 0)
		return;
	/* EPERM: a restored application may run as another user. */
	if (errno == EPERM)
		run->owed_signals |= UINT64_C(1) << (number - 1);
	else if (errno != ESRCH)
		warn("kill(%d, %d), to forward a signal: %m", (int)run->root, number);
}

/*
 * The kernel hands out the signal with the lower number first: SIGTERM before the SIGCHLD of a root that ended earlier. No process
 * obeys a signal to such a root, so the end is noted before any signal is forwarded.
 */
static void note_end(struct run *run)
{
	if (run->stage == STAGE_RUNNING)
		reap(run);
	else if (run->stage == STAGE_ADOPTED)
		run_watch(run);
}

/* The root of a restored tree has ended, and its supervisor has yet to say how. */
static bool is_half_gone(const struct run *run)
{
	return run->stage == STAGE_ADOPTED && watch_is_gone(&run->adopted_root);
}

/* While CRIU checkpoints the application, an end signal is delayed, or it would become part of the checkpoint. */
static void receive(struct run *run, int number, const siginfo_t *info)
{
	if (signal_asks_for_end(info) && (now_ms() < run->withhold_until_ms || is_half_gone(run)))
		run->withheld |= UINT64_C(1) << (number - 1);
	else
		forward(run, number, info);
}

/* No application is left that the signal is for. One that ended by itself has a code of its own. */
static void exit_for_signal(struct run *run, int number)
{
	if (run->stage != STAGE_GONE)
		run->code = 128 + number;
	run->stage = STAGE_OVER;
}

/* What a signal means depends on whether an application is there for it. */
static void obey(struct run *run, int number, const siginfo_t *info)
{
	if (run->stage == STAGE_RUNNING || run->stage == STAGE_ADOPTED)
		receive(run, number, info);
	else if (signal_ends(number) || signal_asks_for_end(info))
		exit_for_signal(run, number);
}

static void forward_withheld(struct run *run)
{
	if (run->withheld)
		note_end(run);
	if (is_half_gone(run))
		return;
	while (run->withheld && now_ms() >= run->withhold_until_ms && run->stage != STAGE_OVER) {
		siginfo_t info = { .si_signo = __builtin_ctzll(run->withheld) + 1 };
		run->withheld &= run->withheld - 1;
		if (run->stage == STAGE_RUNNING || run->stage == STAGE_ADOPTED) {
			forward(run, info.si_signo, &info);
		} else {
			exit_for_signal(run, info.si_signo);
		}
	}
}

static void take_signals(struct run *run)
{
	siginfo_t info;
	for (int number; run->stage != STAGE_OVER && (number = next_signal(&info)) > 0;) {
		if (number == SIGCHLD) {
			reap(run);
		} else if (number == SIGPIPE && info.si_pid == getpid()) {
			continue; /* the launcher's own, from a closed standard error */
		} else {
			note_end(run);
			obey(run, number, &info);
		}
	}
}

/* The restore init container and the sidecar create a file beside the socket (sidecar/lineage/checkpoint-mark.ts). */
static bool has_checkpoint(const struct run *run)
{
	char path[4096];
	const char *socket = wire_path(), *slash = strrchr(socket, '/');
	int length = snprintf(path, sizeof path, "%.*s%s.checkpoint", slash ? (int)(slash + 1 - socket) : 0, socket,
			      run->container);
	return length > 0 && (size_t)length < sizeof path && access(path, F_OK) == 0;
}

/*
 * While the container is kept open, the deadline is for a sidecar that hangs. The guard restarts a sidecar that has died, and it then
 * connects: without a connection the launcher waits as long as it ever does.
 */
static long long deadline_of(const struct run *run)
{
	if (run->stage == STAGE_WAITING || run->stage == STAGE_GONE)
		return run->deadline_ms;
	if (run->stage != STAGE_KEPT_OPEN || run->silence_ms == 0)
		return NEVER_MS;
	if (!wire_is_open(&run->wire))
		return run->heard_ms + LONGEST_WAIT_MS;
	return (run->heard_ms > run->connected_ms ? run->heard_ms : run->connected_ms) + run->silence_ms;
}

/* The verdict did not come in time. If there is a checkpoint, the sidecar gets more time. */
static void lose_patience(struct run *run)
{
	bool kept = has_checkpoint(run);
	long long latest = earlier_ms(run->heard_ms + run->patience_with_checkpoint_ms, run->waits_end_ms);
	if (kept && now_ms() < latest) {
		warn("no verdict from the sidecar at %s yet: waiting longer, because there is a checkpoint to restore",
		     wire_path());
		run->deadline_ms = latest;
		return;
	}
	if (kept)
		warn("the checkpoint is not restored: it stays in the store");
	warn("no verdict from the sidecar at %s in time: starting the application without it", wire_path());
	run_start(run);
}

static void keep_deadlines(struct run *run)
{
	long long deadline = deadline_of(run);
	if (deadline == NEVER_MS || now_ms() < deadline)
		return;
	if (run->stage == STAGE_WAITING) {
		lose_patience(run);
		return;
	}
	/* With the application's code, mostly 137 (killed by CRIU): the kubelet or a controller then restarts it, from the checkpoint. */
	if (run->stage == STAGE_KEPT_OPEN)
		warn("no word from the sidecar at %s for %lld ms: the container ends, its last checkpoint stays in the store",
		     wire_path(), now_ms() - run->heard_ms);
	run->stage = STAGE_OVER;
}

static long long next_look_ms(const struct run *run)
{
	bool adopted = run->stage == STAGE_ADOPTED;
	bool blind = run->wakeup < 0 || (adopted && (run->supervisor.descriptor < 0 || run->supervisor_gone));
	long long next = earlier_ms(blind ? now_ms() + TICK_MS : NEVER_MS, deadline_of(run));
	if (run->withheld && !is_half_gone(run))
		next = earlier_ms(next, run->withhold_until_ms);
	return wire_is_open(&run->wire) ? next : earlier_ms(next, run->reconnect_at_ms);
}

static void wait_for_anything(struct run *run)
{
	bool watching = run->stage == STAGE_ADOPTED && !run->supervisor_gone;
	struct pollfd entries[] = {
		{ .fd = run->wire.descriptor, .events = wire_events(&run->wire) },
		{ .fd = run->wakeup, .events = POLLIN },
		{ .fd = watching ? run->supervisor.descriptor : -1, .events = POLLIN },
	};
	int ready = poll(entries, 3, poll_timeout_ms(next_look_ms(run)));
	if (ready < 0 && errno != EINTR)
		die(EXIT_LAUNCHER, "poll of the sidecar's socket: %m");
	/* If the launcher was frozen since the signal, a `withhold` may have arrived meanwhile: check again. */
	if (ready > 0 && entries[1].revents && poll(entries, 1, 0) < 0 && errno != EINTR)
		die(EXIT_LAUNCHER, "poll of the sidecar's socket: %m");
	if (ready > 0 && entries[0].revents & POLLOUT)
		wire_flush(&run->wire);
	if (ready > 0 && entries[0].revents & (POLLIN | POLLHUP | POLLERR) && wire_is_open(&run->wire))
		run_listen(run);
}

static long long patience_ms(const char *variable, long long standard)
{
	long long patience = standard;
	const char *text = getenv(variable);
	if (text && !parse_number(text, &patience)) {
		warn("%s=%s is not a whole number: %lld is used", variable, text, standard);
		patience = standard;
	}
	return patience;
}

int run_mode(char **words)
{
	static const char *const known[] = { "container=", NULL };
	struct options options = parse_options(words, known);
	struct run run = { .container = option_text(&options, "container"), .command = options.command };
	if (!run.container || !run.command[0])
		die(EXIT_LAUNCHER, "usage: launcher run --container=NAME -- COMMAND [ARG...]");

	refuse_tracers();
	secure_stdio();
	block_signals();
	launcher_hash(run.hash, sizeof run.hash);
	run.wire.descriptor = run.supervisor.descriptor = run.adopted_root.descriptor = -1;
	run.wakeup = signal_descriptor();
	run.reconnect_at_ms = now_ms();
	run.waits_end_ms = now_ms() + LONGEST_WAIT_MS;
	run.heard_ms = now_ms();
	run.patience_ms = patience_ms("REPRIEVE_PATIENCE_MS", PATIENCE_MS);
	run.deadline_ms = run.heard_ms + run.patience_ms;
	run.patience_with_checkpoint_ms =
		patience_ms("REPRIEVE_PATIENCE_WITH_CHECKPOINT_MS", PATIENCE_WITH_CHECKPOINT_MS);
	while (run.stage != STAGE_OVER) {
		reconnect(&run);
		wait_for_anything(&run);
		take_signals(&run);
		forward_withheld(&run);
		if (run.stage == STAGE_ADOPTED)
			run_watch(&run);
		keep_deadlines(&run);
	}
	return run.code;
}
