"""What belongs to the process itself."""
import ctypes
import os
import resource
import threading

from state_report import kind, same

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NAME, PR_GET_NAME = 15, 16


@kind
def surroundings():
    "environment, working directory, umask and limits"
    os.makedirs('/data/own/here')
    os.chdir('/data/own/here')
    os.umask(0o027)
    os.environ['OF_PROGRAM'] = 'mine'
    limits = {resource.RLIMIT_NOFILE: (333, 777), resource.RLIMIT_CORE: (0, 0), resource.RLIMIT_STACK: (1 << 22, 1 << 23)}
    for limit, values in limits.items():
        resource.setrlimit(limit, values)
    environment = dict(os.environ)

    def look():
        same(os.getcwd(), '/data/own/here', 'the working directory')
        with open('relative', 'w') as file:
            same(oct(os.fstat(file.fileno()).st_mode & 0o777), '0o640', 'the mode of a new file')
        os.unlink('relative')
        same(dict(os.environ), environment, 'the environment')
        same(environment['OF_POD'], 'given', 'a variable of the pod')
        for limit, values in limits.items():
            same(resource.getrlimit(limit), values, f'limit {limit}')
    return look


@kind
def identity():
    "process number, session, group, priority and name"
    os.setpriority(os.PRIO_PROCESS, 0, 5)
    libc.prctl(PR_SET_NAME, b'state-program')
    expected = (os.getpid(), os.getppid(), os.getsid(0), os.getpgid(0), os.getuid(), os.getgroups())

    def look():
        same((os.getpid(), os.getppid(), os.getsid(0), os.getpgid(0), os.getuid(), os.getgroups()), expected, 'who it is')
        same(os.getpriority(os.PRIO_PROCESS, 0), 5, 'the priority')
        name = ctypes.create_string_buffer(16)
        libc.prctl(PR_GET_NAME, name)
        same(name.value, b'state-program', 'the name')
    return look


@kind
def threads():
    "threads with variables of their own"
    asked, answered = threading.Barrier(4), threading.Barrier(4)
    sums = {}

    def work(number):
        own = threading.local()
        own.total = 0
        while True:
            asked.wait()
            own.total += number
            sums[number] = own.total
            answered.wait()
    for number in (1, 2, 3):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    count = [0]

    def look():
        count[0] += 1
        asked.wait(5)
        answered.wait(5)
        same(sums, {number: number * count[0] for number in (1, 2, 3)}, 'the sums')
    return look
