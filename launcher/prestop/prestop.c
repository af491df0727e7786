/* Mode prestop: requests a checkpoint. If the sidecar takes none, the launcher runs the user's own hook. */
#include "prestop.h"
#include "shared/clock.h"
#include "modes.h"
#include "shared/process.h"
#include "shared/report.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* @deadline The sidecar is missing at the pod's end | The user's own `preStop` runs */
#define ANSWER_MS 5000
#define RETRY_MS 50

bool prestop_hear(struct wire *wire, long long deadline_ms, struct message *message)
{
	while (wire_is_open(wire)) {
		enum arrival arrival = wire_next(wire, message);
		if (arrival == ARRIVED_MESSAGE)
			return true;
		if (arrival == ARRIVED_GARBAGE || wire->ended || now_ms() >= deadline_ms)
			break;
		struct pollfd entry = { .fd = wire->descriptor, .events = wire_events(wire) };
		int ready = poll(&entry, 1, poll_timeout_ms(deadline_ms));
		if (ready < 0 && errno != EINTR)
			die(1, "poll of the sidecar's socket: %m");
		if (ready > 0 && entry.revents & POLLOUT)
			wire_flush(wire);
		if (ready > 0 && entry.revents & (POLLIN | POLLHUP | POLLERR) && !wire_receive(wire))
			break;
	}
	return false;
}

/* EAGAIN: the sidecar listens, but is busy. Any other error: no sidecar listens. */
static bool reach(struct wire *wire, long long deadline_ms)
{
	while (!wire_connect(wire)) {
		if (errno != EAGAIN || now_ms() >= deadline_ms)
			return false;
		sleep_ms(RETRY_MS);
	}
	return true;
}

static bool checkpoint_taken(struct wire *wire, const char *container, long long budget_ms)
{
	struct message message;
	long long deadline = now_ms() + ANSWER_MS, latest = deadline + budget_ms, duration;

	bool heard;
	do {
		if (!reach(wire, deadline)) {
			warn("connect to the sidecar at %s: %m; no checkpoint", wire_path());
			return false;
		}
		wire_say(wire, "prestop container=%s budget-ms=%lld", container, budget_ms);
		heard = prestop_hear(wire, deadline, &message);
		/* The sidecar hung up before its first word: it restarts, or has too many other connections. */
	} while (!heard && wire->ended && now_ms() < deadline && (wire_close(wire), sleep_ms(RETRY_MS), true));
	for (; heard; heard = prestop_hear(wire, deadline, &message)) {
		if (strcmp(message.verb, "taken") == 0)
			return true;
		if (strcmp(message.verb, "failed") == 0)
			return false;
		if (strcmp(message.verb, "wait") != 0 || !message_number(&message, "ms", &duration))
			break;
		deadline = now_ms() + duration;
		if (deadline > latest)
			deadline = latest;
	}
	warn("no word from the sidecar at %s in time; no checkpoint", wire_path());
	wire_close(wire);
	return false;
}

static int run_hook(const struct options *options, struct wire *wire)
{
	const char *url = option_text(options, "http-get");
	if (option_flag(options, "exec"))
		execute(options->command);
	if (url)
		return strncmp(url, "https:", 6) == 0 ? https_get(options, url, wire) : http_get(options, url);
	sleep_ms(option_number(options, "sleep", 0, 0) * 1000);
	return 0;
}

int prestop_mode(char **words)
{
	static const char *const known[] = { "container=", "budget-ms=", "exec", "http-get=", "header=", "sleep=", NULL };
	struct options options = parse_options(words, known);
	struct wire wire = { .descriptor = -1 };
	const char *container = option_text(&options, "container");
	long long budget_ms = option_number(&options, "budget-ms", 0, -1);

	if (!container || budget_ms < 0 || option_flag(&options, "exec") != (options.command[0] != NULL))
		die(1, "usage: launcher prestop --container=NAME --budget-ms=N "
		       "[--exec -- COMMAND [ARG...] | --http-get=URL [--header=NAME:VALUE]... | --sleep=SECONDS]");
	refuse_tracers();
	if (checkpoint_taken(&wire, container, budget_ms))
		return 0;
	return run_hook(&options, &wire);
}
