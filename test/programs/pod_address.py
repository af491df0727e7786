"""Sockets at the pod's own address: pod_address.py tcp|udp|client, the last merely connected to something outside."""
import os
import socket
import sys

from findings import tell

how = sys.argv[1]
address = os.environ['POD_IP']
family = socket.AF_INET6 if ':' in address else socket.AF_INET
held = socket.socket(family, socket.SOCK_STREAM if how == 'tcp' else socket.SOCK_DGRAM)
if how == 'client':
    held.connect(('2001:db8::7' if family == socket.AF_INET6 else '198.51.100.7', 8125))
else:
    held.bind((address, 7000))
if how == 'tcp':
    held.listen(8)


def bound():
    return held.getsockname()[0]


def works():
    if how == 'client':
        try:
            return held.send(b'x')
        except OSError as error:  # Without a route outside.
            return error.strerror
    if how == 'tcp':
        client = socket.create_connection((bound(), 7000), 1)
        accepted, _ = held.accept()
        accepted.close()
        client.close()
        return 'accepts'
    held.settimeout(1)
    client = socket.socket(family, socket.SOCK_DGRAM)
    client.sendto(b'x', (bound(), 7000))
    return held.recv(1).decode()


tell({'bound to': bound, 'works': works})
