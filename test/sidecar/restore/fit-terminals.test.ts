import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { fitTerminals } from '../../../sidecar/restore/fit-terminals.ts'
import { encodeNumber } from '../../../sidecar/criu/protobuf.ts'
import { entriesImage } from '../criu/image-of.ts'

const [processes, terminals] = [0x50273030, 0x59453036]

type Process = { pid: number; group: number; session: number }
const processOf = ({ pid, group, session }: Process) =>
  Buffer.concat([encodeNumber(1, pid), encodeNumber(2, 1), encodeNumber(3, group), encodeNumber(4, session)])

/** tty_info_entry, with a field behind the group that has to stay. */
const terminalOf = (session: number, group: number) =>
  Buffer.concat([
    encodeNumber(1, 9),
    encodeNumber(6, session),
    encodeNumber(7, group),
    encodeNumber(8, 34_816),
  ])

t.test('a terminal whose foreground group has ended is its shell’s again, every other stays', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'terminals-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  t.equal(await fitTerminals(folder), 0, 'a program without terminals has no such image')
  const tree = [
    { pid: 10, group: 10, session: 10 },
    { pid: 20, group: 20, session: 20 },
    { pid: 21, group: 21, session: 20 },
    // The leader of group 30 has ended, one of its members has not.
    { pid: 31, group: 30, session: 20 },
  ]
  writeFileSync(join(folder, 'pstree.img'), entriesImage(processes, tree.map(processOf)))
  const cases = [
    { session: 20, was: 22, is: 20, what: 'the group has ended' },
    { session: 20, was: 10, is: 20, what: 'a later process of another session has the number of the group' },
    { session: 20, was: 0, is: 20, what: 'there is no group' },
    { session: 20, was: 21, is: 21, what: 'a command runs in the foreground' },
    { session: 20, was: 30, is: 30, what: 'a member of the group goes on without its leader' },
    { session: 20, was: 20, is: 20, what: 'the shell has it' },
    { session: 0, was: 0, is: 0, what: 'it is nobody’s controlling terminal' },
    { session: 99, was: 98, is: 98, what: 'its session is not in the tree' },
  ]
  const file = join(folder, 'tty-info.img')
  writeFileSync(file, entriesImage(terminals, cases.map(({ session, was }) => terminalOf(session, was)))) // prettier-ignore
  t.equal(await fitTerminals(folder), 3)
  const read = readFileSync(file)
  t.strictSame(read, entriesImage(terminals, cases.map(({ session, is }) => terminalOf(session, is)))) // prettier-ignore
})
