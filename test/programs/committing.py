"""
Commits rows 1, 2, 3… to a store in FOLDER: `committing.py KIND FOLDER`. Says `committed N` when row N is safe from the program's own end.
At its start it checks the store by its own means: `verified rows=ROWS max=MAX`, or `damaged WHY`, and goes on behind the last row.
"""
import glob
import os
import re
import struct
import subprocess
import sys
import time
import zlib

kind, folder = sys.argv[1], sys.argv[2]
os.makedirs(folder, exist_ok=True)


def payload(n):
    return (b'%d ' % n) * 40


def require(holds, what):
    if not holds:
        raise AssertionError(what)


class Sqlite:
    """`mode`: its journal's."""

    def __init__(self, mode):
        import sqlite3
        self.db = sqlite3.connect(f'{folder}/data.db', isolation_level=None, timeout=20)
        self.db.execute(f'pragma journal_mode={mode}')
        self.db.execute('create table if not exists t(n integer primary key, x blob)')

    def verify(self):
        require(self.db.execute('pragma integrity_check').fetchall() == [('ok',)], 'integrity_check')
        rows = self.db.execute('select n, x from t').fetchall()
        require(all(x == payload(n) for n, x in rows), 'a row is another')
        return [n for n, _ in rows]

    def commit(self, n):
        self.db.execute('insert or replace into t values(?, ?)', (n, payload(n)))


class Lmdb:
    def __init__(self):
        import lmdb
        self.env = lmdb.open(folder, map_size=64 << 20)

    def verify(self):
        with self.env.begin() as txn:
            rows = [(int(key), bytes(value)) for key, value in txn.cursor()]
        require(all(value == payload(n) for n, value in rows), 'a row is another')
        return [n for n, _ in rows]

    def commit(self, n):
        with self.env.begin(write=True) as txn:
            txn.put(b'%d' % n, payload(n))


class LevelDb:
    def __init__(self):
        import plyvel
        # Small, so that it compacts while it is looked at.
        self.db = plyvel.DB(folder, create_if_missing=True, write_buffer_size=16 << 10, paranoid_checks=True)

    def verify(self):
        rows = [(int(key), value) for key, value in self.db.iterator(verify_checksums=True)]
        require(all(value == payload(n) for n, value in rows), 'a row is another')
        return [n for n, _ in rows]

    def commit(self, n):
        self.db.put(b'%d' % n, payload(n), sync=True)


class Parquet:
    """A file for each row: written under another name, its footer last, and renamed."""

    def verify(self):
        rows = []
        for path in glob.glob(f'{folder}/part-*'):
            with open(path, 'rb') as file:
                data = file.read()
            n = int(path.rsplit('-', 1)[1])
            body, footer = data[:-8], data[-8:]
            require(data.startswith(b'PAR1') and footer == struct.pack('<I', zlib.crc32(body)) + b'PAR1', path)
            require(body == b'PAR1' + payload(n) * 50, path)
            rows.append(n)
        return rows

    def commit(self, n):
        with open(f'{folder}/draft', 'wb') as file:
            file.write(b'PAR1')
            for _ in range(50):
                file.write(payload(n))
                file.flush()
                time.sleep(0.002)
            file.seek(0)
            body = b'PAR1' + payload(n) * 50
            file.seek(0, 2)
            file.write(struct.pack('<I', zlib.crc32(body)) + b'PAR1')
            file.flush()
            os.fsync(file.fileno())
        os.rename(f'{folder}/draft', f'{folder}/part-{n}')


def with_tails(path):
    """A restore keeps beside the file what it cut off."""
    return [path, *glob.glob(f'{path}.reprieve-tail-*')]


class Events:
    """As TensorBoard's: length, its checksum, data, its checksum; one writer."""

    def __init__(self):
        self.path = f'{folder}/events.out.tfevents'
        self.file = open(self.path, 'ab')

    def verify(self):
        rows = []
        for path in with_tails(self.path):
            with open(path, 'rb') as file:
                data = file.read()
            at = 0
            while at + 12 <= len(data):
                length, check = struct.unpack_from('<QI', data, at)
                require(zlib.crc32(data[at:at + 8]) == check, f'{path} at {at}')
                # The last record may be cut short by the program's end, and no other.
                if at + 16 + length > len(data):
                    break
                record = data[at + 12:at + 12 + length]
                require(zlib.crc32(record) == struct.unpack_from('<I', data, at + 12 + length)[0], f'{path} at {at}')
                rows.append(int(record.split(b' ', 1)[0]))
                at += 16 + length
        return rows

    def commit(self, n):
        head, record = struct.pack('<Q', len(payload(n))), payload(n)
        self.file.write(head + struct.pack('<I', zlib.crc32(head)) + record + struct.pack('<I', zlib.crc32(record)))
        self.file.flush()


class TwoLogWriters:
    """A child writes to the same log, by a descriptor of its own, half of the rows."""

    def __init__(self):
        self.path = f'{folder}/log'
        self.requests, requests = os.pipe()
        answers, self.answers = os.pipe()
        if os.fork() == 0:
            os.close(requests)
            os.close(answers)
            file = open(self.path, 'a')
            while row := os.read(self.requests, 4):
                self.append(file, struct.unpack('<I', row)[0])
                os.write(self.answers, b'.')
            os._exit(0)
        os.close(self.requests)
        os.close(self.answers)
        self.requests, self.answers = requests, answers
        self.file = open(self.path, 'a')

    @staticmethod
    def append(file, n):
        file.write(f'row {n} {"x" * 40}\n')
        file.flush()

    def verify(self):
        with open(self.path) as file:
            lines = file.read().splitlines()
        require(all(re.fullmatch(r'row \d+ x{40}', line) for line in lines), 'a line is another')
        return [int(line.split()[1]) for line in lines]

    def commit(self, n):
        if n % 2:
            return self.append(self.file, n)
        os.write(self.requests, struct.pack('<I', n))
        os.read(self.answers, 1)


class Git:
    def __init__(self):
        self.git('init', '--quiet')
        self.clear()

    def git(self, *arguments):
        identity = ['-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'gc.auto=10', '-c', 'core.fsync=none']
        return subprocess.run(['git', '-C', folder, *identity, *arguments], check=True, capture_output=True, text=True).stdout

    def clear(self):
        """As Git advises after a crash: nobody else works here."""
        for lock in glob.glob(f'{folder}/.git/**/*.lock', recursive=True):
            os.unlink(lock)

    def verify(self):
        self.git('fsck', '--strict')
        if not os.listdir(f'{folder}/.git/refs/heads') and not os.path.exists(f'{folder}/.git/packed-refs'):
            return []
        return [int(line.split()[1]) for line in self.git('log', '--format=%s').splitlines()]

    def commit(self, n):
        for attempt in range(3):
            try:
                with open(f'{folder}/rows', 'a') as file:
                    file.write(f'{n}\n')
                self.git('add', 'rows')
                self.git('commit', '--quiet', '--allow-empty', '-m', f'row {n}')
                return
            except subprocess.CalledProcessError as error:
                print('again', n, repr(error.stderr), flush=True)
                self.clear()
        raise AssertionError('git')


stores = {
    'lmdb': Lmdb,
    'leveldb': LevelDb,
    'parquet': Parquet,
    'events': Events,
    'two-log-writers': TwoLogWriters,
    'git': Git,
}
try:
    store = Sqlite(kind.split('-')[1]) if kind.startswith('sqlite-') else stores[kind]()
    rows = store.verify()
except Exception as error:
    print('damaged', repr(error), flush=True)
    raise
n = max(rows, default=0)
print(f'verified rows={len(set(rows))} max={n}', flush=True)
while True:
    n += 1
    store.commit(n)
    print(f'committed {n}', flush=True)
    time.sleep(0.02)
