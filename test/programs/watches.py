"""Watches very many folders by inotify. watches.py FOLDER COUNT"""
import ctypes
import os
import sys

from findings import tell

IN_CREATE, IN_DELETE = 0x100, 0x200
base, count = sys.argv[1], int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
inotify = libc.inotify_init1(os.O_NONBLOCK)


def folder(number):
    return f'{base}/{number:05}-{"a-long-name-" * 10}'


for number in range(count):
    os.makedirs(folder(number))
    if libc.inotify_add_watch(inotify, folder(number).encode(), IN_CREATE | IN_DELETE) < 0:
        raise OSError(ctypes.get_errno(), 'inotify_add_watch')


def hears(number):
    name = f'{folder(number)}/x'
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    os.unlink(name)
    try:
        return len(os.read(inotify, 65536)) > 0
    except BlockingIOError:
        return False


tell({'heard': lambda: sum(hears(number) for number in (0, count // 2, count - 1))}, every=0.5)
