"""Holds what the cluster gives to a pod: cluster_files.py open|map|watch|folder PATH"""
import ctypes
import mmap
import os
import sys

from findings import tell

how, path = sys.argv[1:3]
libc = ctypes.CDLL(None, use_errno=True)


def opened():
    file = open(path)
    return {'content': lambda: (file.seek(0), file.read())[1]}


def mapped():
    descriptor = os.open(path, os.O_RDONLY)
    memory = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
    os.close(descriptor)
    return {'content': lambda: memory[:].decode()}


def watched():
    inotify = libc.inotify_init1(os.O_NONBLOCK)
    if libc.inotify_add_watch(inotify, path.encode(), 0x3C6) < 0:
        raise OSError(ctypes.get_errno(), 'inotify_add_watch')
    return {'content': lambda: sorted(os.listdir(path)) if os.path.isdir(path) else open(path).read()}


def folder():
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    return {'content': lambda: sorted(os.listdir(descriptor))}


tell({'open': opened, 'map': mapped, 'watch': watched, 'folder': folder}[how]())
