"""Holds files in many ways: `holding.py WAY=PATH...`. Says `ready`, then `tick N` for ever, and `NAME: what it found` whenever that has changed."""
import ctypes
import os
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def mapped(path, flags):
    """Mapped, and its descriptor closed; Python's own mmap keeps one."""
    fd = os.open(path, os.O_RDONLY)
    at = libc.mmap(None, os.fstat(fd).st_size, 1, flags, fd, 0)
    os.close(fd)
    return lambda n: ctypes.string_at(at, 5).decode()


def reading(path):
    file = open(path)
    file.read(10)
    return lambda n: (file.tell(), os.fstat(file.fileno()).st_size)


def appending(path):
    file = open(path, 'a')

    def append(n):
        file.write(f'app {n}\n')
        file.flush()
        return 'written'
    return append


ways = {
    'read': reading,
    'append': appending,
    'map-shared': lambda path: mapped(path, 1),
    'map-private': lambda path: mapped(path, 2),
}
looks = [(argument, ways[argument.split('=')[0]](argument.split('=')[1])) for argument in sys.argv[1:]]
last = {}
n = 0
while True:
    n += 1
    for name, look in looks:
        try:
            found = look(n)
        except Exception as error:
            found = repr(error)
        if last.get(name) != found:
            print(f'{name}: {found}', flush=True)
            last[name] = found
    print('ready' if n == 1 else f'tick {n}', flush=True)
    time.sleep(0.1)
