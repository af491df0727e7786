/**
 * Periodic timerfds that had expired when they were dumped. Until somebody reads it, such a one stands at 0 in the kernel; CRIU notes that
 * and restores it by it, which switches it off: what it has counted is read once, and it never fires again (checkpoint-restore/criu#3162,
 * open when this was written). The longer a dump takes until it comes to a timer, the surer it has expired. It is noted as due in
 * one interval instead.
 */
import type { EventLog } from '../../src/log.ts'
import { rewriteFilesImage, withEntriesChanged } from './image-entries.ts'
import { encodeMessage, encodeNumber, fieldsOf, type Field } from './protobuf.ts'

/** images/fdinfo.proto: how an entry of a timer begins, file_entry.type being TIMERFD, and file_entry.tfd. */
const timerType = Buffer.from([8, 17])
const timerField = 12
/** images/timerfd.proto */
const number = {
  ticks: 5,
  settimeFlags: 6,
  valueSeconds: 7,
  valueNs: 8,
  intervalSeconds: 9,
  intervalNs: 10,
} as const
/** TFD_TIMER_ABSTIME, timerfd_settime(2): those CRIU restores to an instant, which is in the past, and so do they fire. */
const absolute = 1

/**
 * A dump's `files.img`. What it does not understand it leaves as it is, and what it cannot write whole, too: a full disk costs a
 * timer then, and not the checkpoint.
 */
export async function rearmExpiredTimers(imagesFolder: string, log: EventLog): Promise<void> {
  try {
    const timers = await rewriteFilesImage(imagesFolder, withTimersRearmed)
    if (timers > 0)
      log.debug({ event: 'images.timers_rearmed', timers }, 'timers had expired when they were dumped')
  } catch (error) {
    log.warn(
      { event: 'images.timers_unread', err: error, imagesFolder },
      'a timer that had expired may stand still after a restore',
    )
  }
}

/**
 * @returns undefined where there is none to rearm
 * @throws Error for what is no such image
 */
export function withTimersRearmed(image: Buffer): { image: Buffer; changed: number } | undefined {
  return withEntriesChanged(image, rearm)
}

/** @returns undefined for what is no such timer */
function rearm(entry: Buffer): Buffer | undefined {
  // The application stands still meanwhile, and may have a hundred thousand other files.
  if (!entry.subarray(0, timerType.length).equals(timerType)) return undefined
  const fields = fieldsOf(entry)
  const timer = fields.find((field) => field.number === timerField)
  if (timer === undefined) return undefined
  const values = fieldsOf(timer.bytes)
  const of = (which: number) => values.find((field) => field.number === which)?.value ?? 0
  const [seconds, ns] = [of(number.intervalSeconds), of(number.intervalNs)]
  const isPeriodic = seconds > 0 || ns > 0
  // A timer that is switched off has counted nothing: timerfd_setup, fs/timerfd.c.
  const isExpired = of(number.ticks) > 0 && of(number.valueSeconds) === 0 && of(number.valueNs) === 0
  if (!isPeriodic || !isExpired || of(number.settimeFlags) % 2 === absolute) return undefined
  const due = new Map<number, number>([[number.valueSeconds, seconds], [number.valueNs, ns]]) // prettier-ignore
  const written = ({ number, raw }: Field) => {
    const value = due.get(number)
    return value === undefined ? raw : encodeNumber(number, value)
  }
  const message = Buffer.concat(values.map(written))
  return Buffer.concat(
    fields.map((field) => (field === timer ? encodeMessage(timerField, message) : field.raw)),
  )
}
