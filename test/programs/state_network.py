"""TCP and UDP: what listens goes on listening, what was connected is closed in a way that a program understands."""
import mmap
import select
import socket
import time

from state_report import child, kind, same, wait_until


def echo_on(listening):
    def serve():
        accepted = []
        while True:
            for ready in select.select([listening, *accepted], [], [])[0]:
                if ready is listening:
                    accepted.append(listening.accept()[0])
                    continue
                try:
                    data = ready.recv(1000)
                    ready.sendall(data.upper())
                except OSError:
                    data = b''
                if not data:
                    accepted.remove(ready)
    child(serve)


def listen(family, address):
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(address)
    listening.listen(16)
    return listening


def exchange(peer):
    """`connected`, or the error that the program sees. @raises AssertionError when it sees none in time"""
    peer.settimeout(5)
    try:
        peer.sendall(b'hello')
        data = peer.recv(100)
    except TimeoutError:
        raise AssertionError('it hung')
    except OSError as error:
        return f'closed ({type(error).__name__})'
    return 'closed (end of file)' if data == b'' else 'connected' if data == b'HELLO' else f'{data!r}'


@kind
def listening():
    "a listening TCP socket"
    echo_on(listen(socket.AF_INET, ('0.0.0.0', 7000)))

    def look():
        with socket.create_connection(('127.0.0.1', 7000), 5) as peer:
            same(exchange(peer), 'connected', 'a new connection')
    return look


@kind
def connected_outside():
    "a TCP connection to a peer outside the program"
    return connection(7100)


@kind
def connected_inside():
    "a TCP connection between two processes of the program"
    echo_on(listen(socket.AF_INET, ('127.0.0.1', 7001)))
    return connection(7001)


def connection(port):
    peers = []

    def connect():
        peers.append(socket.create_connection(('127.0.0.1', port), 5))
    wait_until(lambda: connects(connect), 'a connection')

    def look():
        found = exchange(peers[-1])
        if found != 'connected':
            peers.pop().close()
            connect()
            same(exchange(peers[-1]), 'connected', 'a new connection')
        return found
    return look


def connects(connect):
    try:
        connect()
        return True
    except OSError:
        return False


@kind
def waiting():
    "a process that waits for data on a connection to a peer outside"
    peers = []
    ended = mmap.mmap(-1, 4096)

    def begin():
        peer = socket.create_connection(('127.0.0.1', 7100), 5)
        peer.settimeout(None)
        ended[0] = 0

        def wait():
            try:
                ended[0] = 1 if peer.recv(100) == b'' else 3
            except OSError:
                ended[0] = 2
        child(wait)
        peers.append(peer)
    begin()

    def look():
        for _ in range(50):
            if ended[0] != 0:
                break
            time.sleep(0.01)
        if ended[0] == 0:
            peers[-1].sendall(b'hello')
        wait_until(lambda: ended[0] != 0, 'the end of the wait')
        found = {1: 'closed (end of file)', 2: 'closed (an error)', 3: 'connected'}[ended[0]]
        peers.pop().close()
        begin()
        return found
    return look


@kind
def datagrams():
    "UDP sockets, bound and connected"
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(('127.0.0.1', 7002))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(('127.0.0.1', 7002))

    def look():
        sender.send(b'hello')
        receiver.settimeout(5)
        same(receiver.recv(100), b'hello', 'the datagram')
    return look
