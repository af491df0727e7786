"""Somebody else in the pod: answers on a TCP port, and writes to a volume that it shares."""
import socket
import time

import state_network

with open('/shared/of-peer', 'w') as file:
    file.write('of the peer')
state_network.echo_on(state_network.listen(socket.AF_INET, ('127.0.0.1', 7100)))
print('listening', flush=True)
while True:
    time.sleep(3600)
