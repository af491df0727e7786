/**
 * System calls that wait for some time at most. When a task is stopped in one, the kernel keeps in itself what is left of it; CRIU cannot
 * dump that and has the call fail with EINTR (compel/arch/x86/src/lib/infect.c, criu#1589), which a program that handles no signals does
 * not expect: `tail -F` ends, sleep(3) returns too early. Such a call is begun again instead.
 */
import { readdir } from 'node:fs/promises'
import { rewriteOnlyMessage } from './image-entries.ts'
import { encodeNumber, fieldsOf, withMessagesChanged, type Field } from './protobuf.ts'

/** IMG_COMMON_MAGIC and CORE_MAGIC. */
const magicLength = 8
/** images/core.proto and core-x86.proto: core_entry.thread_info, thread_info_x86.gpregs, user_x86_regs_entry. */
const threadInfo = 2
const registers = 2
const number = { r10: 8, ax: 11, dx: 13, si: 14, di: 15, origAx: 16, ip: 17, mode: 28 } as const
const compat = 2
/** -EINTR as 64 bits, with the key of `ax`. */
const interrupted = Buffer.from('58fcffffffffffffffff01', 'hex')
/** arch/x86/entry/syscalls/syscall_64.tbl: all that the kernel restarts by restart_syscall(2). */
const call = { poll: 7, nanosleep: 35, futex: 202, clockNanosleep: 230 } as const
/** Of the instruction `syscall`. */
const instructionLength = 2

/**
 * @returns how many calls are begun again
 * @throws Error where an image cannot be read or written
 */
export async function restartCalls(imagesFolder: string): Promise<number> {
  let restarted = 0
  for (const name of await readdir(imagesFolder))
    if (/^core-\d+\.img$/.test(name))
      restarted += Number(await rewriteOnlyMessage(`${imagesFolder}/${name}`, magicLength, withCallRestarted))
  return restarted
}

/** @returns undefined for a thread that waits in no such call; also on other processors, where CRIU has lost an argument */
export function withCallRestarted(core: Buffer): Buffer | undefined {
  return withMessagesChanged(core, threadInfo, (info) =>
    withMessagesChanged(info, registers, (message) => {
      const fields = fieldsOf(message)
      const of = (which: number) => fields.find((field) => field.number === which)
      const isStopped = of(number.ax)?.raw.equals(interrupted) === true && of(number.mode)?.value !== compat
      if (!isStopped || !canBeginAgain(of)) return undefined
      const values = new Map([
        [number.ax, of(number.origAx)?.value ?? 0],
        [number.ip, (of(number.ip)?.value ?? 0) - instructionLength],
      ]) as ReadonlyMap<number, number>
      return Buffer.concat(
        fields.map((field) => {
          const value = values.get(field.number)
          return value === undefined ? field.raw : encodeNumber(field.number, value)
        }),
      )
    }),
  )
}

/**
 * A sleep is begun again where the rest was written over its time (sleep(3)), so that it lasts for the rest, and where the program did not
 * ask for the rest. One that has it elsewhere knows of EINTR. `poll` and a relative `futex` wait for the whole time once more.
 */
function canBeginAgain(of: (which: number) => Field | undefined): boolean {
  const isRest = (rest: number, time: number) => of(rest)?.value === 0 || of(rest)?.value === of(time)?.value
  switch (of(number.origAx)?.value) {
    case call.poll:
    case call.futex:
      return true
    case call.nanosleep:
      return isRest(number.si, number.di)
    case call.clockNanosleep:
      return isRest(number.r10, number.dx)
    default:
      return false
  }
}
