"""Many kinds of state beside plain memory, in one tree of processes: `state.py [MODULE...]`."""
import importlib
import os
import sys

import state_report

os.makedirs('/data/own', exist_ok=True)
for module in sys.argv[1:] or ['process', 'files', 'volumes', 'open', 'memory', 'messages', 'network', 'time']:
    importlib.import_module(f'state_{module}')
state_report.run()
