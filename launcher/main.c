/* Finds the mode and calls it. */
#include "modes.h"
#include "shared/report.h"
#include "shared/title.h"

#include <string.h>

struct mode {
	const char *name;
	int (*enter)(char **words);
};

static const struct mode modes[] = {
	{ "run", run_mode },         { "prestop", prestop_mode }, { "enter", enter_mode },
	{ "supervise", supervise_mode }, { "lastpid", lastpid_mode }, { "guard", guard_mode },
	{ "lock", lock_mode },       { "memory-cgroup", memory_cgroup_mode },
	{ "peers", peers_mode },
	{ "connections", connections_mode }, { "affinity", affinity_mode },
	{ "filters", filters_mode },
	{ "record-locks", record_locks_mode },
};

static const char *basename_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
	title_remember(argc, argv);
	if (argc > 0 && strcmp(basename_of(argv[0]), "criu-hook") == 0)
		return hook_mode();
	if (argc < 2)
		die(EXIT_LAUNCHER, "usage: launcher run|prestop|enter|supervise|lastpid|guard|lock|memory-cgroup|connections|peers|affinity|filters|record-locks ...");
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (strcmp(argv[1], modes[i].name) == 0)
			return modes[i].enter(argv + 2);
	die(EXIT_LAUNCHER, "no mode \"%s\": run, prestop, enter, supervise, lastpid, guard, lock, memory-cgroup, connections, peers, affinity, filters, record-locks are known", argv[1]);
}
