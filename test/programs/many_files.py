"""Makes very many small files once, and counts them ever after. many_files.py FOLDER COUNT"""
import os
import sys

from findings import tell

folder, count = sys.argv[1], int(sys.argv[2])
for number in range(count):
    part = f'{folder}/{number - number % 1000}'
    if number % 1000 == 0:
        os.makedirs(part)
    os.close(os.open(f'{part}/{number}', os.O_CREAT | os.O_WRONLY))
tell({'files': lambda: sum(len(os.listdir(f'{folder}/{part}')) for part in os.listdir(folder))}, every=1)
