"""Clocks and timers. What is waited for is never much further away after a restore than it was before."""
import ctypes
import mmap
import os
import select
import signal
import struct
import threading
import time

from state_report import child, every_turn, kind, same, wait_until

libc = ctypes.CDLL(None, use_errno=True)
CLOCK_MONOTONIC_COARSE = 6  # linux/time.h


@kind
def monotonic():
    "clocks that never go backward"
    clocks = (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE)
    last = {clock: 0 for clock in clocks}
    worst = [0]

    def read():
        for clock in clocks:
            now = time.clock_gettime_ns(clock)
            worst[0] = min(worst[0], now - last[clock])
            last[clock] = now
    every_turn(read)

    def look():
        read()
        same(worst[0], 0, 'the furthest step backward, in ns,')
        return f'uptime {last[time.CLOCK_BOOTTIME] / 1e9:.1f} s'
    return look


def counted(work):
    """A process that does something over and over, and counts: how long it took at most since the last look."""
    memory = mmap.mmap(-1, 4096)

    def loop():
        while True:
            work()
            memory[0:8] = struct.pack('<Q', struct.unpack('<Q', memory[0:8])[0] + 1)
    child(loop)

    def look():
        before = memory[0:8]
        wait_until(lambda: memory[0:8] != before, 'the next turn')
    return look


@kind
def sleeping():
    "a process that sleeps for a second again and again"
    return counted(lambda: time.sleep(1))


@kind
def polling():
    "processes that wait with a time-out in epoll, poll and select"
    epoll, poll = select.epoll(), select.poll()
    looks = [counted(lambda: epoll.poll(1)), counted(lambda: poll.poll(1000)), counted(lambda: select.select([], [], [], 1))]

    def look():
        for each in looks:
            each()
    return look


@kind
def condition():
    "a thread that waits for a condition with a time-out"
    turns = [0]
    never = threading.Event()

    def wait():
        while True:
            never.wait(1)
            turns[0] += 1
    threading.Thread(target=wait, daemon=True).start()

    def look():
        before = turns[0]
        wait_until(lambda: turns[0] != before, 'the next turn')
    return look


def timer(clock, value, interval):
    fd = libc.timerfd_create(clock, os.O_NONBLOCK)
    if fd < 0 or libc.timerfd_settime(fd, 0, struct.pack('<qqqq', *interval, *value), None) < 0:
        raise OSError(ctypes.get_errno(), 'timerfd')
    return fd


@kind
def timers():
    "timerfds, a periodic one and some that are an hour away"
    periodic = timer(time.CLOCK_MONOTONIC, (1, 0), (1, 0))
    distant = [timer(clock, (3600, 0), (0, 0)) for clock in (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME)]
    end = time.monotonic() + 3600
    last = [3600] * len(distant)

    def wait():
        select.select([periodic], [], [])
        os.read(periodic, 8)
    next_tick = counted(wait)

    def look():
        next_tick()
        for at, fd in enumerate(distant):
            left = ctypes.create_string_buffer(32)
            libc.timerfd_gettime(fd, left)
            seconds = struct.unpack('<qqqq', left.raw)[2]
            # It goes on down, from where it was. Each restore sets the clock at its beginning and the timers at its end, however long
            # that takes: a timer may come to lag behind the clock, and runs ahead of it by no more than a dump takes.
            if not end - time.monotonic() - 60 < seconds <= last[at]:
                raise AssertionError(f'{seconds} s are left, of {last[at]}, with {end - time.monotonic()} by the clock')
            last[at] = seconds
    return look


@kind
def unread_timer():
    "a periodic timerfd that has expired, unread, whenever a checkpoint is taken"
    periodic = timer(time.CLOCK_MONOTONIC, (0, 100_000_000), (0, 100_000_000))

    def look():
        for what in ('what it has counted', 'a tick after that'):
            wait_until(lambda: select.select([periodic], [], [], 0)[0], what)
            os.read(periodic, 8)
    return look


@kind
def alarm():
    "an interval timer that sends a signal"
    alarms = [0]

    def count(_, __):
        alarms[0] += 1
    signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)

    def look():
        before = alarms[0]
        wait_until(lambda: alarms[0] > before + 1, 'the alarm')
    return look
