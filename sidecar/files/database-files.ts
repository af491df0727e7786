/**
 * Whether a file is one of a database's: told by its name, by what lies beside it, or by how it begins. Such a file and the memory of
 * its database belong together, however it grows, and what was committed to it must never be cut off.
 */
import { lstat } from 'node:fs/promises'

/** Names of SQLite, LMDB, LevelDB, RocksDB and Redis, and what others call theirs. */
const ownName =
  /-(wal|shm|journal)$|\.(aof|wal|journal|binlog|mdb|ldb|sst|rdb|db|db3|sqlite|sqlite3|lock|pid)$|^(CURRENT|LOCK|MANIFEST-\d+)$/i

/** SQLite's database for its journals and the other way around; LMDB without a folder; a lock file. */
const besideSuffixes = ['-wal', '-shm', '-journal', '-lock', '.lock', '.wal']

/** LevelDB and RocksDB, LMDB, PostgreSQL, WiredTiger, MySQL, and whatever locks its folder. */
const folderMarks = ['CURRENT', 'LOCK', 'lock.mdb', '.lock', 'PG_VERSION', 'WiredTiger', 'ibdata1']

/** https://www.sqlite.org/fileformat.html, "Magic Header String" */
const sqliteHeader = Buffer.from('SQLite format 3\0')

export function isDatabaseName(name: string): boolean {
  return ownName.test(name)
}

export function isDatabaseContent(beginning: Buffer): boolean {
  return beginning.subarray(0, sqliteHeader.length).equals(sqliteHeader)
}

/** Whether a name in the same folder says so by being there. What cannot be looked at is taken for missing. */
export async function isBesideDatabase(folder: string, name: string): Promise<boolean> {
  const marks = [...besideSuffixes.map((suffix) => `${name}${suffix}`), ...folderMarks]
  const found = await Promise.all(
    marks.map((mark) =>
      lstat(`${folder}/${mark}`).then(
        () => true,
        () => false,
      ),
    ),
  )
  return found.includes(true)
}
