"""TCP connections whose both ends are in the program: none of them may be lost, nor a byte under way. See state_report.py."""
import errno
import multiprocessing.managers
import os
import socket

from state_report import child, kind, run, same

MIB = 1 << 20


def pair(host='127.0.0.1', family=socket.AF_INET, client_host=None, client_family=None):
    """@returns the two ends of a new connection"""
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, 0))
    listening.listen(16)
    one = socket.socket(client_family or family)
    one.connect((client_host or host, listening.getsockname()[1]))
    other = listening.accept()[0]
    pair.listening.append(listening)
    return one, other


pair.listening = []


def pattern(start, length):
    return bytes((start + at) * 7 % 251 for at in range(length))


def fill(end):
    """Writes until nothing more goes in. @returns how many bytes"""
    end.setblocking(False)
    sent = 0
    block = pattern(0, 251 * 64)
    while True:
        try:
            sent += end.send(block[sent % 251:])
        except BlockingIOError:
            end.setblocking(True)
            return sent


def read(end, length, what='the bytes', start=0):
    end.settimeout(10)
    got = 0
    while got < length:
        part = end.recv(min(MIB, length - got))
        if part == b'':
            raise AssertionError(f'{what} end after {got} of {length}')
        at = (start + got) % 251
        expected = (pattern(0, 251) * (len(part) // 251 + 2))[at:at + len(part)]
        same(part == expected, True, f'{what} from {got} on being what was written')
        got += len(part)


def read_end(end, what='the connection'):
    end.settimeout(10)
    same(end.recv(1), b'', f'what follows in {what}')


def talk(one, other):
    for sender, receiver in ((one, other), (other, one)):
        sender.settimeout(10)
        receiver.settimeout(10)
        sender.sendall(b'hello')
        same(receiver.recv(100), b'hello', 'the word')


def name(address):
    return (address[0].removeprefix('::ffff:'), address[1])


def talking(*how, **more):
    ends = pair(*how, **more)
    for end in ends:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def look():
        talk(*ends)
        for end in ends:
            same(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1, 'TCP_NODELAY')
            same(end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1, 'SO_KEEPALIVE')
        same(name(ends[0].getpeername()), name(ends[1].getsockname()), 'the name of the peer')
        return ends[0].getsockname()[0]
    return look


@kind
def loopback():
    "a connection over 127.0.0.1"
    return talking()


@kind
def other_loopback():
    "a connection over another address of 127.0.0.0/8"
    return talking('127.8.9.10')


@kind
def ipv6():
    "a connection over IPv6"
    return talking('::1', socket.AF_INET6)


@kind
def mapped():
    "a connection over IPv4 to a socket of IPv6"
    return talking('::', socket.AF_INET6, client_host='127.0.0.1', client_family=socket.AF_INET)


@kind
def both_mapped():
    "the same with two sockets of IPv6"
    return talking('::', socket.AF_INET6, client_host='::ffff:127.0.0.1')


@kind
def pod_address():
    "a connection over the address of the pod"
    return talking(os.environ['POD_IP'])


@kind
def two_processes():
    "a connection between two processes"
    one, other = pair()

    def echo():
        one.close()
        while True:
            other.sendall(other.recv(1000).upper())
    child(echo)
    other.close()

    def look():
        one.settimeout(10)
        one.sendall(b'hello')
        same(one.recv(100), b'HELLO', 'the answer')
    return look


@kind
def under_way():
    "bytes under way in both directions, more than the other end can take"
    one, other = pair()
    sent = [fill(one), fill(other)]

    def look():
        counts = list(sent)
        read(other, sent[0])
        read(one, sent[1])
        sent[:] = [fill(one), fill(other)]
        return f'{counts[0]} and {counts[1]} bytes'
    return look


@kind
def small_writes():
    "many small writes that are not read"
    one, other = pair()

    def write():
        for number in range(500):
            one.sendall(bytes([number % 256]) * 3)
    write()

    def look():
        other.settimeout(10)
        data = b''
        while len(data) < 1500:
            data += other.recv(5000)
        same(data, b''.join(bytes([number % 256]) * 3 for number in range(500)), 'the bytes')
        write()
    return look


@kind
def half_closed():
    "a connection that one end has closed for writing, with a question that is not read"
    ends = []

    def ask():
        ends[:] = pair()
        ends[0].sendall(pattern(0, 100_000))
        ends[0].shutdown(socket.SHUT_WR)
    ask()

    def look():
        one, other = ends
        read(other, 100_000, 'the question')
        read_end(other, 'the question')
        other.sendall(pattern(0, 20_000))
        read(one, 20_000, 'the answer')
        # A child may have it open as well.
        other.shutdown(socket.SHUT_WR)
        read_end(one, 'the answer')
        other.close()
        one.close()
        ask()
    return look


@kind
def closing_full():
    "the same with more than the other end can take"
    ends = []

    def ask():
        ends[:] = pair()
        ends.append(fill(ends[0]))
        ends[0].shutdown(socket.SHUT_WR)
    ask()

    def look():
        one, other, length = ends
        read(other, length)
        read_end(other)
        other.sendall(b'hello')
        one.settimeout(10)
        same(one.recv(100), b'hello', 'the answer')
        one.close()
        other.close()
        ask()
    return look


@kind
def last_word():
    "a connection that both ends have closed for writing, the second with more than the first can take"
    ends = []

    def ask():
        ends[:] = pair()
        ends[0].shutdown(socket.SHUT_WR)
        read_end(ends[1])
        ends.append(fill(ends[1]))
        ends[1].shutdown(socket.SHUT_WR)
    ask()

    def look():
        one, other, length = ends
        read(one, length)
        read_end(one)
        one.close()
        other.close()
        ask()
    return look


@kind
def gone():
    "what a peer has written before it closed the connection"
    ends = []

    def ask():
        one, other = pair()
        one.sendall(pattern(0, 50_000))
        one.close()
        ends[:] = [other]
    ask()

    def look():
        read(ends[0], 50_000)
        read_end(ends[0])
        try:
            for _ in range(2):
                ends[0].sendall(b'x')
                ends[0].settimeout(0.2)
                try:
                    ends[0].recv(1)
                except TimeoutError:
                    pass
        except OSError as error:
            same(error.errno in (errno.EPIPE, errno.ECONNRESET), True, f'a refusal being the error, not {error!r}')
        else:
            raise AssertionError('nobody refused what was written to nobody')
        ends[0].close()
        ask()
    return look


@kind
def many():
    "four hundred connections"
    ends = [pair() for _ in range(400)]
    for listening in pair.listening[-399:]:
        listening.close()

    def look():
        for one, other in ends:
            talk(one, other)
    return look


@kind
def not_accepted():
    "a connection that is not accepted yet"
    listening = socket.socket()
    listening.bind(('127.0.0.1', 0))
    listening.listen(16)
    ends = []

    def connect():
        ends[:] = [socket.create_connection(listening.getsockname(), 10)]
    connect()

    def look():
        listening.settimeout(0.5)
        try:
            other = listening.accept()[0]
            talk(ends[0], other)
            found = 'connected'
            other.close()
        except TimeoutError:
            read_end(ends[0])
            found = 'closed'
        ends[0].close()
        connect()
        return found
    return look


@kind
def manager():
    "a manager of multiprocessing, and what it holds"
    class Manager(multiprocessing.managers.SyncManager):
        pass
    started = Manager(address=('127.0.0.1', 0), authkey=b'key', ctx=multiprocessing.get_context('fork'))
    started.start()
    held = started.list([0])

    def look():
        held.append(len(held))
        same(list(held), list(range(len(held))), 'the list')
    return look


run()
