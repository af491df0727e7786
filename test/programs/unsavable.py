"""Holds one thing that cannot be saved: unsavable.py queue|memory|program|backlog|traced|ring|excluded|watched|unlinked"""
import ctypes
import os
import socket
import sys
import tempfile

from findings import tell

libc = ctypes.CDLL(None, use_errno=True)
kept = []


def checked(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), what)
    return result


def queue():
    """A POSIX message queue, mq_overview(7)."""
    kept.append(checked(libc.mq_open(b'/work', os.O_CREAT | os.O_RDWR, 0o600, None), 'mq_open'))


def memory():
    """A System V segment, shmget(2)."""
    libc.shmat.restype = ctypes.c_void_p
    kept.append(libc.shmat(checked(libc.shmget(0, 4096, 0o1600), 'shmget'), None, 0))


def program():
    """A process whose program is nowhere but in memory, memfd_create(2)."""
    if os.fork() > 0:
        return
    descriptor = os.memfd_create('program')
    with open('/bin/sleep', 'rb') as file:
        os.write(descriptor, file.read())
    os.execve(f'/proc/self/fd/{descriptor}', ['sleep', '1000'], os.environ)


def backlog():
    """A connection that was made, used and closed, and that nobody has accepted."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind('\0backlog')
    listener.listen(8)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect('\0backlog')
        client.sendall(b'unread')
    kept.append(listener)


def traced():
    """A child under ptrace(2), as a debugger has it."""
    child = os.fork()
    if child == 0:
        libc.ptrace(0, 0, 0, 0)
        os.kill(os.getpid(), 19)
        while True:
            os.sched_yield()
    os.waitpid(child, os.WUNTRACED)


def ring():
    """An io_uring, io_uring_setup(2)."""
    kept.append(checked(libc.syscall(425, 8, ctypes.create_string_buffer(120)), 'io_uring_setup'))


def excluded():
    """A file below a path that does not travel."""
    kept.append(open('/scratch/open', 'w+'))


def watched():
    """A folder below a path that does not travel, watched by inotify(7) and not open."""
    os.mkdir('/scratch/watched')
    kept.append(checked(libc.inotify_init1(0), 'inotify_init1'))
    checked(libc.inotify_add_watch(kept[-1], b'/scratch/watched', 0x100), 'inotify_add_watch')


def unlinked():
    """Files without a name, one of them in a folder that does not travel: their contents are saved with the memory."""
    os.mkdir('/scratch/deep')
    for folder in ['/scratch', '/scratch/deep']:
        file = tempfile.TemporaryFile(dir=folder, buffering=0)
        file.write(b'kept')
        kept.append(file)


def contents():
    return [os.pread(file.fileno(), 4, 0).decode() for file in kept] if sys.argv[1] == 'unlinked' else []


modes = [queue, memory, program, backlog, traced, ring, excluded, watched, unlinked]
next(mode for mode in modes if mode.__name__ == sys.argv[1])()
tell({'contents': contents})
