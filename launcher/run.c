/* Mode run: the entry process of a protected container. */
#include "run.h"
#include "clock.h"
#include "identity.h"
#include "init.h"
#include "modes.h"
#include "options.h"
#include "report.h"
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 10000
/* Where a checkpoint is kept: to begin without it loses all the work that is in it, and an overloaded node starts a sidecar late. */
#define PATIENCE_WITH_CHECKPOINT_MS 120000
#define RECONNECT_MS 250
/* How often things are looked at that cannot wake us. */
#define TICK_MS 50

void run_start(struct run *run)
{
	run->root = fork();
	if (run->root < 0)
		die(EXIT_LAUNCHER, "fork, to start the application: %m");
	if (run->root == 0)
		be_tree_root(run->command);
	/* Descriptors that we were started with are the application's alone now: its pipes must see their ends. */
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
		if (wire_connect(&run->wire))
			run_introduce(run);
	}
	while (wire_is_open(&run->wire) && run->owed_signals) {
		int number = __builtin_ctzll(run->owed_signals) + 1;
		run->owed_signals &= run->owed_signals - 1;
		wire_say(&run->wire, "signal number=%d root=%d", number, (int)run->root);
	}
}

/* Reaps the root; and orphans, which are ours where the pod shares no process namespace and we are its first. */
static void reap(struct run *run)
{
	int status;
	for (pid_t dead; (dead = waitpid(-1, &status, WNOHANG)) > 0;)
		if (run->stage == STAGE_RUNNING && dead == run->root)
			run_ended(run, exit_code_of(status));
}

static void forward(struct run *run, int number, const siginfo_t *info)
{
	/* Whoever ends well after one of these has not finished its work; a sidecar that was restarted must hear of it. */
	if (signal_asks_for_end(info))
		run->told = number;
	if (kill(run->root, number) == 0)
		return;
	/* A restored application may belong to another user. */
	if (errno == EPERM)
		run->owed_signals |= UINT64_C(1) << (number - 1);
	else if (errno != ESRCH)
		warn("kill(%d, %d), to forward a signal: %m", (int)run->root, number);
}

/* The application is to be saved before it hears of its end, or the signal would be saved with it. */
static void receive(struct run *run, int number, const siginfo_t *info)
{
	if (signal_asks_for_end(info) && now_ms() < run->withhold_until_ms)
		run->withheld |= UINT64_C(1) << (number - 1);
	else
		forward(run, number, info);
}

static void pass_withheld(struct run *run)
{
	while (run->withheld && now_ms() >= run->withhold_until_ms && run->stage != STAGE_OVER) {
		siginfo_t info = { .si_signo = __builtin_ctzll(run->withheld) + 1 };
		run->withheld &= run->withheld - 1;
		if (run->stage == STAGE_RUNNING || run->stage == STAGE_ADOPTED) {
			forward(run, info.si_signo, &info);
		} else {
			/* As if it came now: what ended by itself has a code of its own. */
			if (run->stage != STAGE_GONE)
				run->code = 128 + info.si_signo;
			run->stage = STAGE_OVER;
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
			continue; /* our own message, to a standard error that is closed */
		} else if (run->stage == STAGE_RUNNING || run->stage == STAGE_ADOPTED) {
			receive(run, number, &info);
		} else if (signal_ends(number) || signal_asks_for_end(&info)) {
			/* Waiting or holding: nobody else is there to obey it. What ended by itself has a code of its own. */
			if (run->stage != STAGE_GONE)
				run->code = 128 + number;
			run->stage = STAGE_OVER;
		}
	}
}

/* The restore init container and the sidecar leave a mark beside the socket (sidecar/lineage/checkpoint-mark.ts). */
static bool checkpoint_is_kept(const struct run *run)
{
	char path[4096];
	const char *socket = wire_path(), *slash = strrchr(socket, '/');
	int length = snprintf(path, sizeof path, "%.*s%s.checkpoint", slash ? (int)(slash + 1 - socket) : 0, socket,
			      run->container);
	return length > 0 && (size_t)length < sizeof path && access(path, F_OK) == 0;
}

static void keep_deadlines(struct run *run)
{
	if (run->deadline_ms == NEVER_MS || now_ms() < run->deadline_ms)
		return;
	if (run->stage == STAGE_WAITING) {
		bool kept = checkpoint_is_kept(run);
		long long latest = earlier_ms(run->heard_ms + run->patience_with_checkpoint_ms, run->waits_end_ms);
		if (kept && now_ms() < latest) {
			warn("no verdict from the sidecar at %s yet: waiting, since there is a checkpoint to go on from",
			     wire_path());
			run->deadline_ms = latest;
			return;
		}
		if (kept)
			warn("there is a checkpoint that the application could have gone on from: it stays in the store");
		warn("no verdict from the sidecar at %s in time: starting the application without it", wire_path());
		run_start(run);
	} else if (run->stage == STAGE_GONE) {
		run->stage = STAGE_OVER;
	}
}

static long long next_look_ms(const struct run *run)
{
	bool adopted = run->stage == STAGE_ADOPTED;
	bool blind = run->wakeup < 0 || (adopted && (run->supervisor.descriptor < 0 || run->supervisor_gone));
	long long next = blind ? now_ms() + TICK_MS : NEVER_MS;
	if (run->stage == STAGE_WAITING || run->stage == STAGE_GONE)
		next = earlier_ms(next, run->deadline_ms);
	if (run->withheld)
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
	/* Frozen between the signal and here, we look again: what was said meanwhile may be that this signal is to be withheld. */
	if (ready > 0 && entries[1].revents)
		poll(entries, 1, 0);
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
		pass_withheld(&run);
		if (run.stage == STAGE_ADOPTED)
			run_watch(&run);
		keep_deadlines(&run);
	}
	return run.code;
}
