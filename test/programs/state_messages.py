"""Pipes, unix sockets and a terminal between processes, with data on their way."""
import array
import os
import pty
import select
import signal
import socket
import termios

from state_report import child, kind, same

OWN = '/data/own'


def readable(fd, seconds=5):
    if not select.select([fd], [], [], seconds)[0]:
        raise AssertionError('nothing came')
    return fd


@kind
def pipe():
    "a pipe with 60,000 bytes in it, and one that another process reads"
    full = os.pipe()
    os.write(full[1], b'p' * 60_000)
    ask, answer = os.pipe(), os.pipe()

    def echo():
        while True:
            os.write(answer[1], os.read(ask[0], 100).upper())
    child(echo)

    def look():
        same(os.read(full[0], 100_000) == b'p' * 60_000, True, 'the sameness of what was in the pipe')
        os.write(full[1], b'p' * 60_000)
        os.write(ask[1], b'hello')
        same(os.read(readable(answer[0]), 100), b'HELLO', 'the answer')
    return look


@kind
def named_pipe():
    "a named pipe that two processes have open, with data in it"
    os.mkfifo(f'{OWN}/messages')
    fd = os.open(f'{OWN}/messages', os.O_RDWR)
    os.write(fd, b'on its way')

    def look():
        same(os.read(readable(fd), 100), b'on its way', 'what was in it')
        writer = os.open(f'{OWN}/messages', os.O_WRONLY | os.O_NONBLOCK)
        os.write(writer, b'on its way')
        os.close(writer)
    return look


@kind
def pairs():
    "pairs of unix sockets, stream, datagram and seqpacket, with data in them"
    pairs = [socket.socketpair(socket.AF_UNIX, type) for type in
             (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)]
    for one, other in pairs:
        one.send(b'first')
        one.send(b'second')
        other.send(b'back')

    def look():
        for index, (one, other) in enumerate(pairs):
            expected = [b'firstsecond'] if index == 0 else [b'first', b'second']
            for message in expected:
                same(other.recv(1000, socket.MSG_DONTWAIT), message, 'what was on its way')
            same(one.recv(1000, socket.MSG_DONTWAIT), b'back', 'what was on its way back')
            one.send(b'first')
            one.send(b'second')
            other.send(b'back')
    return look


def bound(path):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    return listening


def listener(address, listening=None):
    if listening is None:
        listening = bound(address)
    listening.listen(8)

    def serve():
        accepted = []
        while True:
            for ready in select.select([listening, *accepted], [], [])[0]:
                if ready is listening:
                    accepted.append(listening.accept()[0])
                elif data := ready.recv(1000):
                    ready.send(data.upper())
                else:
                    accepted.remove(ready)
    child(serve)
    client = socket.socket(socket.AF_UNIX)
    client.connect(address)

    def exchange(peer):
        peer.settimeout(5)
        peer.send(b'hello')
        same(peer.recv(100), b'HELLO', 'the answer')

    def look():
        exchange(client)
        with socket.socket(socket.AF_UNIX) as another:
            another.connect(address)
            exchange(another)
    return look


@kind
def named_socket():
    "a unix socket with a name in the file tree, whose client stays connected"
    return listener(f'{OWN}/listening.sock')


@kind
def volume_socket():
    "the same in an emptyDir and in one in memory"
    looks = [listener('/scratch disk/listening.sock'), listener('/scratch-memory/listening.sock')]

    def look():
        for each in looks:
            each()
    return look


@kind
def renamed_socket():
    "the same, bound to another name and renamed"
    listening = bound(f'{OWN}/renamed.sock.new')
    os.rename(f'{OWN}/renamed.sock.new', f'{OWN}/renamed.sock')
    return listener(f'{OWN}/renamed.sock', listening)


@kind
def linked_socket():
    "the same, bound to another name and linked, as supervisord does it"
    listening = bound(f'{OWN}/linked.sock.77')
    os.link(f'{OWN}/linked.sock.77', f'{OWN}/linked.sock')
    os.unlink(f'{OWN}/linked.sock.77')
    return listener(f'{OWN}/linked.sock', listening)


@kind
def abstract_socket():
    "the same with an abstract name"
    return listener('\0reprieve-test')


@kind
def passed():
    "a descriptor that is on its way through a unix socket"
    one, other = socket.socketpair(socket.AF_UNIX)
    with open(f'{OWN}/passed', 'w+') as file:
        file.write('passed')
        file.flush()
        one.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [file.fileno()]))])
    held = []

    def look():
        if not held:
            _, ancillary, _, _ = other.recvmsg(1, socket.CMSG_SPACE(4))
            held.append(array.array('i', ancillary[0][2])[0])
        same(os.pread(held[0], 100, 0), b'passed', 'the content')
        one.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [held[0]]))])
        os.close(held.pop())
    return look


@kind
def terminal():
    "a pseudo-terminal of the program’s own"
    controller, terminal = pty.openpty()
    attributes = termios.tcgetattr(terminal)
    attributes[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)

    def look():
        same(termios.tcgetattr(terminal)[3] & (termios.ECHO | termios.ICANON), 0, 'its settings')
        os.write(controller, b'typed')
        same(os.read(readable(terminal), 100), b'typed', 'what was typed')
        os.write(terminal, b'shown')
        same(os.read(readable(controller), 100), b'shown', 'what was shown')
    return look


@kind
def session():
    "a terminal with a session of its own, whose foreground group has ended"
    ask, answer = os.pipe(), os.pipe()
    shell, controller = pty.fork()
    if shell == 0:
        # As an interactive shell is, in the instant between the end of a command and its own next step.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        while True:
            command = os.fork()
            if command == 0:
                signal.pause()
            os.setpgid(command, command)
            os.tcsetpgrp(0, command)
            os.kill(command, signal.SIGKILL)
            os.waitpid(command, 0)
            os.write(answer[1], b'.')
            os.read(ask[0], 1)
            os.tcsetpgrp(0, os.getpgrp())
            os.write(1, b'shown')
            os.read(ask[0], 1)

    def look():
        os.read(readable(answer[0]), 1)
        os.write(ask[1], b'.')
        same(os.read(readable(controller), 100), b'shown', 'what was shown')
        same(os.tcgetpgrp(controller), shell, 'the foreground group')
        os.write(ask[1], b'.')
    return look
