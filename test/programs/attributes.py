"""Changes what a process may change of itself, and says again and again which processors its threads have."""
import ctypes
import os
import resource
import threading
import time

PR_SET_THP_DISABLE = 41
first, *others = sorted(os.sched_getaffinity(0))
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
os.nice(5)
os.umask(0o027)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
for file, value in (("oom_score_adj", "300"), ("coredump_filter", "0x33")):
    with open(f"/proc/self/{file}", "w") as own:
        own.write(value)
seen = {}


def work():
    os.sched_setaffinity(0, others[:1] or [first])
    while True:
        seen["thread"] = sorted(os.sched_getaffinity(0))
        time.sleep(0.02)


if os.fork() == 0:
    while True:
        time.sleep(1)
os.sched_setaffinity(0, [first])
threading.Thread(target=work, daemon=True).start()
turn = 0
while True:
    turn += 1
    time.sleep(0.1)
    print(f"turn {turn}", f"main {sorted(os.sched_getaffinity(0))} thread {seen.get('thread')}", flush=True)
