"""
A unix socket between two containers, by a volume that they share: neighbour.py stream|seqpacket|dgram [serve].
The client tells when its peer is gone, and connects again.
"""
import os
import signal
import socket
import sys
import threading
import time

from findings import tell

mode = sys.argv[1]
path = f'/shared/{mode}.sock'
kind = {'stream': socket.SOCK_STREAM, 'seqpacket': socket.SOCK_SEQPACKET, 'dgram': socket.SOCK_DGRAM}[mode]


def serve():
    # It ends later than the application.
    signal.signal(signal.SIGTERM, lambda *_: threading.Timer(10, os._exit, [0]).start())
    if os.path.exists(path):
        os.unlink(path)
    server = socket.socket(socket.AF_UNIX, kind)
    server.bind(path)
    print('ready', flush=True)
    if kind == socket.SOCK_DGRAM:
        while True:
            server.recv(100)
    server.listen(8)

    def echo(client):
        while data := client.recv(100):
            client.sendall(data)

    while True:
        client, _ = server.accept()
        threading.Thread(target=echo, args=(client,), daemon=True).start()


def connected():
    for _ in range(200):
        client = socket.socket(socket.AF_UNIX, kind)
        try:
            client.connect(path)
            return client
        except OSError:
            client.close()
            time.sleep(0.1)
    raise TimeoutError(path)


def ask():
    global peer
    try:
        peer.sendall(b'x')
        if kind == socket.SOCK_DGRAM or peer.recv(100):
            return 'answered'
    except OSError as error:
        print(f'lost: {error.strerror}', flush=True)
    else:
        print('lost: end of file', flush=True)
    peer.close()
    peer = connected()
    print('connected again', flush=True)
    return 'answered'


if 'serve' in sys.argv:
    serve()
peer = connected()
tell({'peer': ask})
