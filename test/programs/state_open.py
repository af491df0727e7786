"""Open files: with a name, without one, mapped, locked, on every kind of volume."""
import fcntl
import mmap
import os
import sqlite3
import struct
import time

from state_report import child, every_turn, kind, same, wait_until

OWN = '/data/own'
MIB = 1 << 20


def pattern(size):
    return (b'0123456789abcdef' * (size // 16 + 1))[:size]


def open_file(path, content, flags=0):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o640)
    os.write(fd, content)
    return fd


@kind
def offsets():
    "open files with their offsets and flags"
    fd = open_file(f'{OWN}/offset', pattern(100))
    os.lseek(fd, 42, os.SEEK_SET)
    log = open_file(f'{OWN}/appended', b'', os.O_APPEND)
    folder = os.open(OWN, os.O_RDONLY | os.O_DIRECTORY)
    written = []

    def look():
        same(os.lseek(fd, 0, os.SEEK_CUR), 42, 'the offset')
        os.lseek(log, 0, os.SEEK_SET)
        written.append(b'x')
        os.write(log, b'x')
        same(os.pread(log, 100, 0), b''.join(written), 'the log')
        same(fcntl.fcntl(log, fcntl.F_GETFL) & os.O_APPEND, os.O_APPEND, 'the flag')
        same('offset' in os.listdir(folder), True, 'the presence of a file in the open folder')
    return look


def without_name(path, size):
    fd = open_file(path, pattern(size))
    os.unlink(path)
    appended = [0]

    def look():
        found = os.fstat(fd)
        same((found.st_size, found.st_nlink), (size + appended[0], 0), 'the size and number of links')
        same(os.pread(fd, size, 0) == pattern(size), True, 'the sameness of the content')
        os.pwrite(fd, b'+', size + appended[0])
        appended[0] += 1
        same(os.path.lexists(path), False, 'the existence of its name')
        same([name for name in os.listdir(os.path.dirname(path)) if 'ghost' in name], [], 'what CRIU left')
    return look


@kind
def unlinked_small():
    "an open file without a name, small"
    return without_name(f'{OWN}/unlinked-small', 1000)


@kind
def unlinked_large():
    "an open file without a name, of 8 MiB"
    return without_name(f'{OWN}/unlinked-large', 8 * MIB)


@kind
def unlinked_on_volumes():
    "open files without a name on an emptyDir, one in memory, /dev/shm and an external volume"
    places = ['/scratch disk', '/scratch-memory', '/dev/shm', '/external']
    looks = [without_name(f'{place}/unlinked', 2 * MIB) for place in places]

    def look():
        for each in looks:
            each()
    return look


@kind
def unlinked_folder():
    "an open file in a folder that was deleted with it"
    os.makedirs(f'{OWN}/gone/below')
    fd = open_file(f'{OWN}/gone/below/file', b'below')
    os.unlink(f'{OWN}/gone/below/file')
    os.rmdir(f'{OWN}/gone/below')
    os.rmdir(f'{OWN}/gone')

    def look():
        same(os.pread(fd, 10, 0), b'below', 'the content')
        same(os.path.lexists(f'{OWN}/gone'), False, 'the existence of the folder')
    return look


def with_another_name(folder):
    os.makedirs(folder, exist_ok=True)
    fd = open_file(f'{folder}/first-name', b'two names')
    os.link(f'{folder}/first-name', f'{folder}/second-name')
    os.unlink(f'{folder}/first-name')
    count = [0]

    def look():
        count[0] += 1
        os.pwrite(fd, b'%d' % count[0], 0)
        with open(f'{folder}/second-name', 'rb') as file:
            same(file.read(), b'%d' % count[0] + b'two names'[len(str(count[0])):], 'what is written to the one')
        same(os.fstat(fd).st_ino, os.stat(f'{folder}/second-name').st_ino, 'the inode')
        same(os.listdir(folder), ['second-name'], 'the folder')
    return look


@kind
def remapped():
    "an open file that lost the name it was opened by, but has another"
    return with_another_name(f'{OWN}/remapped')


@kind
def remapped_on_volumes():
    "the same on an emptyDir, one in memory and /dev/shm"
    looks = [with_another_name(f'{place}/remapped') for place in ('/scratch disk', '/scratch-memory', '/dev/shm')]

    def look():
        for each in looks:
            each()
    return look


def mapped(path, unlink):
    """A parent and a child that map the same file: what one writes the other must see, also after a restore."""
    fd = open_file(path, b'\0' * MIB)
    memory = mmap.mmap(fd, MIB)
    os.close(fd)
    if unlink:
        os.unlink(path)
    memory[5000:5006] = b'mapped'

    def echo():
        while True:
            memory[8192:8196] = memory[0:4]
            time.sleep(0.005)
    child(echo)
    count = [0]

    def look():
        count[0] += 1
        same(bytes(memory[5000:5006]), b'mapped', 'what was written')
        memory[0:4] = struct.pack('<I', count[0])
        wait_until(lambda: memory[8192:8196] == struct.pack('<I', count[0]), 'the other process’s answer')
        if not unlink:
            with open(path, 'rb') as file:
                same(file.read(4), struct.pack('<I', count[0]), 'the file itself')
    return look


@kind
def shared_mapping():
    "a file that two processes have mapped and write"
    return mapped(f'{OWN}/mapped', unlink=False)


@kind
def shared_mapping_unlinked():
    "the same without a name, on disk and in /dev/shm"
    looks = [mapped(f'{OWN}/mapped-unlinked', True), mapped('/dev/shm/mapped-unlinked', True)]

    def look():
        for each in looks:
            each()
    return look


@kind
def memfd():
    "a memfd"
    fd = os.memfd_create('mine', os.MFD_CLOEXEC)
    os.write(fd, pattern(MIB))
    return lambda: same(os.pread(fd, MIB, 0) == pattern(MIB), True, 'the sameness of the content')


def refused(path, lock):
    """Whether another process is refused the lock."""
    pid = os.fork()
    if pid == 0:
        try:
            fd = os.open(path, os.O_RDWR)
            lock(fd)
            os._exit(0)
        except BlockingIOError:
            os._exit(1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


@kind
def locks():
    "flock and fcntl locks"
    flocked = open_file(f'{OWN}/flocked', b'x' * 10)
    fcntl.flock(flocked, fcntl.LOCK_EX | fcntl.LOCK_NB)
    locked = open_file(f'{OWN}/locked', b'x' * 100)
    fcntl.lockf(locked, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 20)

    def look():
        same(refused(f'{OWN}/flocked', lambda fd: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)), True,
             'the refusal of the flock')
        same(refused(f'{OWN}/locked', lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 25)), True,
             'the refusal of the locked range')
        same(refused(f'{OWN}/locked', lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 30)), False,
             'the refusal of another range')
    return look


@kind
def mapped_locks():
    "record locks on mapped files, for reading and for writing, of several processes"
    path = f'{OWN}/mapped-locked'
    fd = open_file(path, b'x' * 8192)
    memory = [mmap.mmap(fd, 8192), mmap.mmap(fd, 8192, mmap.MAP_PRIVATE, mmap.PROT_READ)]
    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 20)
    fcntl.lockf(fd, fcntl.LOCK_EX, 0, 1 << 62)

    def hold(number):
        fcntl.lockf(fd, fcntl.LOCK_SH, 1, 128)
        fcntl.lockf(fd, fcntl.LOCK_EX, 10, 200 + 10 * number)
        memory[0][number] = 1
        time.sleep(1_000_000)
    for number in range(3):
        child(lambda number=number: hold(number))
    wait_until(lambda: memory[0][:3] == b'\1\1\1', 'the locks of the other processes')

    def look():
        for mode, length, start in ((fcntl.LOCK_SH, 1, 20), (fcntl.LOCK_SH, 1, 29), (fcntl.LOCK_EX, 1, 128),
                                    (fcntl.LOCK_SH, 30, 200), (fcntl.LOCK_SH, 1, 229), (fcntl.LOCK_SH, 1, 1 << 62)):
            same(refused(path, lambda fd: fcntl.lockf(fd, mode | fcntl.LOCK_NB, length, start)), True,
                 f'the refusal of {length} from {start}')
        for mode, length, start in ((fcntl.LOCK_EX, 20, 0), (fcntl.LOCK_EX, 98, 30), (fcntl.LOCK_SH, 72, 128),
                                    (fcntl.LOCK_EX, 1, 230), (fcntl.LOCK_EX, 1, (1 << 62) - 1)):
            same(refused(path, lambda fd: fcntl.lockf(fd, mode | fcntl.LOCK_NB, length, start)), False,
                 f'the refusal of {length} from {start}')
        same(bytes(memory[0][3:8192]) == b'x' * 8189, True, 'the sameness of the content')
    return look


@kind
def mapped_open_file_locks():
    "flock and locks of the open file on mapped files"
    def of_open_file(fd, kind):
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack('hhqqi', kind, os.SEEK_SET, 5, 5, 0))
    held = []
    for path, lock in ((f'{OWN}/mapped-flocked', lambda fd: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)),
                       (f'{OWN}/mapped-open-locked', lambda fd: of_open_file(fd, fcntl.F_WRLCK))):
        fd = open_file(path, b'x' * 4096)
        lock(fd)
        held.append((path, lock, mmap.mmap(fd, 4096)))

    def look():
        for path, lock, _ in held:
            same(refused(path, lock), True, f'the refusal of {path}')
    return look


def connect(path):
    return sqlite3.connect(path, isolation_level=None, timeout=0)


@kind
def databases():
    "open databases of SQLite with both kinds of journal, in the writable layer, an emptyDir and one in memory"
    held = []
    for folder in (OWN, '/scratch disk', '/scratch-memory'):
        for mode in ('delete', 'wal'):
            database = connect(f'{folder}/{mode}.db')
            database.execute(f'pragma journal_mode={mode}')
            database.execute('create table t(n)')
            held.append((f'{folder}/{mode}.db', database))
    empty = connect(f'{OWN}/empty.db')
    same(empty.execute('select count(*) from sqlite_master').fetchone(), (0,), 'the tables of an empty one')

    def look():
        # By this lock the next process that opens the database knows that it is not the first one (UNIX_SHM_DMS in os_unix.c).
        for path, _ in held:
            if path.endswith('/wal.db'):
                same(refused(f'{path}-shm', lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)), True,
                     f'the lock of {path}')
        for path, database in held:
            database.execute('begin immediate')
            database.execute('insert into t values (1)')
            other = connect(path)
            try:
                other.execute('begin immediate')
                found = 'taken'
            except sqlite3.OperationalError as error:
                found = str(error)
            same(found, 'database is locked', f'the lock of a second connection to {path}')
            other.close()
            database.execute('commit')
            same(database.execute('pragma integrity_check').fetchone(), ('ok',), f'the integrity of {path}')
        empty.execute('create table if not exists t(n)')
    return look


@kind
def external_log():
    "a log on an external volume, which grows all the time"
    fd = os.open('/external/log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    lines = [0]

    def append():
        lines[0] += 1
        os.write(fd, b'line %d\n' % lines[0])
    every_turn(append)

    def look():
        expected = b''.join(b'line %d\n' % number for number in range(1, lines[0] + 1))
        with open('/external/log', 'rb') as file:
            found = file.read()
        same(found == expected, True, 'the sameness of the log')
        return f'{lines[0]} lines'
    return look
