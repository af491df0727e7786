#include "process.h"
#include "report.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_kept(int descriptor, const int *kept, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (kept[i] == descriptor)
			return true;
	return false;
}

static bool close_range_between(unsigned first, unsigned last)
{
	return first > last || syscall(SYS_close_range, first, last, 0) == 0;
}

/* Without close_range (Linux before 5.9, or seccomp): closes one descriptor at a time, as /proc lists them. */
static bool close_listed(const int *kept, size_t count)
{
	DIR *listing = opendir("/proc/self/fd");
	if (!listing)
		return false;
	for (struct dirent *entry; (entry = readdir(listing));) {
		int descriptor = atoi(entry->d_name);
		if (descriptor > 2 && descriptor != dirfd(listing) && !is_kept(descriptor, kept, count))
			close(descriptor);
	}
	closedir(listing);
	return true;
}

/* Without /proc: closes every possible number, at most 65536. Some runtimes set a limit of 10^9. */
static void close_possible(const int *kept, size_t count)
{
	struct rlimit limit = { 1024, 1024 };
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		warn("getrlimit(RLIMIT_NOFILE): %m");
	int past = limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
	for (int descriptor = 3; descriptor < past; descriptor++)
		if (!is_kept(descriptor, kept, count))
			close(descriptor);
}

void close_descriptors(const int *kept, size_t count)
{
	unsigned from = 3;
	for (;;) {
		unsigned next = ~0U;
		for (size_t i = 0; i < count; i++)
			if (kept[i] >= (int)from && (unsigned)kept[i] < next)
				next = (unsigned)kept[i];
		if (!close_range_between(from, next == ~0U ? next : next - 1))
			break;
		if (next == ~0U)
			return;
		from = next + 1;
	}
	if (!close_listed(kept, count))
		close_possible(kept, count);
}
