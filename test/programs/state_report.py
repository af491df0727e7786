"""Kinds of state: each is set up once, and looked at each time that somebody asks for it.

A kind is a function, named by its docstring, that sets something up and returns a function that looks at it: that one
raises what is wrong, or returns a word on what it found. For round N somebody makes the file /control/ask-N.
"""
import os
import time

kinds = []
turns = []


def kind(set_up):
    kinds.append(set_up)
    return set_up


def every_turn(work):
    """Called about fifty times a second, between looks."""
    turns.append(work)


def child(work):
    """A process of its own, which ends when work returns."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def same(found, expected, what):
    if found != expected:
        raise AssertionError(f'{what} is {found!r}, not {expected!r}')


def wait_until(holds, what, seconds=60):
    """The deadline is for what never comes: a machine may be busy."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f'{what} did not come about in {seconds} s')
        time.sleep(0.01)


def said(error):
    return f'{type(error).__name__}: {error}'.replace('\n', ' ')


def run():
    looks = []
    for set_up in kinds:
        try:
            looks.append((set_up.__doc__, set_up()))
        except Exception as error:
            looks.append((set_up.__doc__, lambda error=error: failed(error)))
    print('ready', flush=True)
    for number in range(1, 1_000):
        while not os.path.exists(f'/control/ask-{number}'):
            for work in turns:
                work()
            time.sleep(0.02)
        for name, look in looks:
            try:
                print(f'round {number} ok {name}: {look() or ""}', flush=True)
            except Exception as error:
                print(f'round {number} not ok {name}: {said(error)}', flush=True)
        print(f'round {number} done', flush=True)


def failed(error):
    raise RuntimeError(f'it could not be set up: {said(error)}')
