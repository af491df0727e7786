import type { RealProgram } from './program.ts'

const script = (name: string, mode: string) => ({
  [`${name}.py`]: `import sqlite3, time
db = sqlite3.connect('/tmp/${name}.db', isolation_level=None)
db.execute('pragma journal_mode=${mode}')
db.execute('create table if not exists t(n integer primary key, square integer)')
turn = 0
while True:
    turn += 1
    db.execute('insert into t values(?, ?)', (turn, turn * turn))
    assert db.execute('select count(*), max(n) from t').fetchone() == (turn, turn)
    time.sleep(0.1)
`,
})

const check = (name: string) =>
  `python3 -c "
import sqlite3
db = sqlite3.connect('file:/tmp/${name}.db', uri=True, timeout=20)
assert db.execute('pragma integrity_check').fetchone() == ('ok',)
assert db.execute('select count(*) from t where square != n * n').fetchone() == (0,)
print(db.execute('select count(*) from t').fetchone()[0])"`

/** One connection stays open all the time, on a database in the container's own layer. */
export const sqliteWal: RealProgram = {
  name: 'sqlite-wal',
  about: 'a database in the container’s own layer, in WAL mode; `integrity_check`, and every row is there',
  packages: ['libsqlite3-0', 'python3'],
  files: script('sqlite-wal', 'wal'),
  command: ['python3', '/program/sqlite-wal.py'],
  check: check('sqlite-wal'),
}

export const sqlite: RealProgram = {
  name: 'sqlite',
  about: 'the same with its rollback journal, the default',
  packages: ['libsqlite3-0', 'python3'],
  files: script('sqlite', 'delete'),
  command: ['python3', '/program/sqlite.py'],
  check: check('sqlite'),
}
