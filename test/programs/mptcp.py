"""Listens by MPTCP where the kernel has it, as Go does since 1.24 unless GODEBUG says otherwise, or as told: mptcp.py [always]"""
import os
import socket
import sys

from findings import tell

IPPROTO_MPTCP = 262
wanted = 'always' in sys.argv or 'multipathtcp=0' not in os.environ.get('GODEBUG', '').split(',')
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP if wanted else 0)
listener.bind(('', 8080))
listener.listen(16)


def answers():
    client = socket.create_connection(('127.0.0.1', 8080), 1)
    accepted, _ = listener.accept()
    accepted.sendall(b'x')
    heard = client.recv(1)
    accepted.close()
    client.close()
    return heard.decode()


tell({'protocol': lambda: listener.proto, 'answers': answers})
