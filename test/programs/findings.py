"""
What small programs that hold one thing have in common: `tell(checks)` prints what each check finds, again whenever it
finds something else, `ready` once it has looked a few times, and then a turn now and then.
"""
import json
import time


def tell(checks, every=0.2):
    last = {}
    turn = 0
    while True:
        turn += 1
        for name, check in checks.items():
            try:
                found = check()
            except Exception as error:
                found = f'error {error!r}'
            if name not in last or last[name] != found:
                last[name] = found
                print(f'{name}: {json.dumps(found)}', flush=True)
        if turn == 3:
            print('ready', flush=True)
        if turn % 5 == 0:
            print(f'turn {turn}', flush=True)
        time.sleep(every)
