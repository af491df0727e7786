"""Memory that processes share, semaphores, and what is counted in descriptors."""
import ctypes
import mmap
import os
import select
import signal
import struct
import threading
import time

from state_report import child, kind, same, wait_until

libc = ctypes.CDLL(None, use_errno=True)
libc.sem_open.restype = ctypes.c_void_p
libc.sem_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_uint]
libc.sem_init.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint]
libc.sem_wait.argtypes = libc.sem_post.argtypes = [ctypes.c_void_p]
libc.sem_getvalue.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)]


def checked(value, what):
    if value in (None, -1):
        raise OSError(ctypes.get_errno(), f'{what}: {os.strerror(ctypes.get_errno())}')
    return value


@kind
def anonymous():
    "anonymous memory that a parent and a child share"
    memory = mmap.mmap(-1, 1 << 20)
    answered(memory)
    count = [0]

    def look():
        count[0] += 1
        memory[0:4] = struct.pack('<I', count[0])
        wait_until(lambda: memory[4:8] == struct.pack('<I', count[0]), 'the answer of the child')
    return look


def answered(memory):
    def echo():
        while True:
            memory[4:8] = memory[0:4]
            time.sleep(0.005)
    child(echo)


@kind
def named_semaphore():
    "a named POSIX semaphore, and a process that waits for it"
    waited = checked(libc.sem_open(b'/waited', os.O_CREAT, 0o600, 0), 'sem_open')
    counted = checked(libc.sem_open(b'/counted', os.O_CREAT, 0o600, 3), 'sem_open')
    return semaphores(waited, counted)


@kind
def unnamed_semaphore():
    "a POSIX semaphore in shared memory, and a process that waits for it"
    memory = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    checked(libc.sem_init(address, 1, 0), 'sem_init')
    checked(libc.sem_init(address + 64, 1, 3), 'sem_init')
    look = semaphores(address, address + 64)
    return lambda: (look(), memory)[0]  # the memory must not be collected


def semaphores(waited, counted):
    woken = mmap.mmap(-1, 4096)

    def wait():
        while True:
            if libc.sem_wait(waited) == 0:
                woken[0] += 1
    child(wait)
    posts = [0]

    def look():
        value = ctypes.c_int()
        checked(libc.sem_getvalue(counted, ctypes.byref(value)), 'sem_getvalue')
        same(value.value, 3, 'the count')
        same(woken[0], posts[0], 'how often the process was woken before')
        posts[0] += 1
        libc.sem_post(waited)
        wait_until(lambda: woken[0] == posts[0], 'the waking of the process')
    return look


@kind
def event():
    "an eventfd with its count"
    fd = os.eventfd(7, os.EFD_NONBLOCK)

    def look():
        same(os.eventfd_read(fd), 7, 'the count')
        os.eventfd_write(fd, 7)
    return look


@kind
def inotify():
    "inotify watches in the writable layer, an emptyDir, one in memory, /dev/shm and an external volume"
    places = [f'{place}/watched [*]' for place in ('/data/own', '/scratch disk', '/scratch-memory', '/dev/shm', '/external')]
    fd = checked(libc.inotify_init1(os.O_NONBLOCK), 'inotify_init1')
    for place in places:
        os.makedirs(place, exist_ok=True)
        checked(libc.inotify_add_watch(fd, place.encode(), 0x100), 'inotify_add_watch')  # IN_CREATE

    def look():
        for place in places:
            with open(f'{place}/file-{time.time_ns()}', 'w'):
                pass
            if not select.select([fd], [], [], 5)[0]:
                raise AssertionError(f'no event came from {place}')
            _, mask, _, length = struct.unpack('<iIII', os.read(fd, 4096)[:16])
            same((mask, length > 0), (0x100, True), 'the event')
    return look


def send(number):
    """To this thread: others do not block it."""
    signal.pthread_kill(threading.get_ident(), number)


@kind
def signals():
    "a signalfd, a blocked signal that is pending, and a handler"
    caught = []
    signal.signal(signal.SIGUSR1, lambda number, _: caught.append(number))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGRTMIN])
    mask = struct.pack('<Q', 1 << (signal.SIGUSR2 - 1))
    fd = checked(libc.signalfd(-1, mask, os.O_NONBLOCK), 'signalfd')
    send(signal.SIGUSR2)
    send(signal.SIGRTMIN)

    def look():
        same(signal.SIGRTMIN in signal.sigpending(), True, 'the pending of SIGRTMIN')
        same(select.select([fd], [], [], 5)[0], [fd], 'the readable descriptors')
        number, = struct.unpack('<I', os.read(fd, 128)[:4])
        same(number, signal.SIGUSR2, 'the signal that was read')
        send(signal.SIGUSR2)
        before = len(caught)
        send(signal.SIGUSR1)
        wait_until(lambda: len(caught) == before + 1, 'the call of the handler')
    return look
