"""A System V shared memory segment, attached until somebody makes the file /control/detach."""
import ctypes
import itertools
import os
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmdt.argtypes = [ctypes.c_void_p]
segment = libc.shmget(0, 1 << 16, 0o1600)  # IPC_PRIVATE, IPC_CREAT
address = libc.shmat(segment, None, 0)
libc.shmctl(segment, 0, None)  # IPC_RMID: it goes when it is detached
print('attached', flush=True)
for turn in itertools.count(1):
    print('turn', turn, flush=True)
    if address is not None and os.path.exists('/control/detach'):
        libc.shmdt(address)
        address = None
        print('detached', flush=True)
    time.sleep(0.05)
