/** What the programs of a day have in common: the sidecar's own parts, and what they tell of themselves. */
import { pino } from 'pino'
import { CheckpointLedger } from '../../sidecar/container/ledger.ts'
import { SourceBook } from '../../sidecar/triggers/notices/source-book.ts'
import { NoticeTrigger } from '../../sidecar/triggers/notices/trigger.ts'

export const hourMs = 3_600_000

export async function quietParts() {
  const log = pino({ level: 'silent' })
  const [book, ledger] = [new SourceBook(), new CheckpointLedger()]
  const notices = new NoticeTrigger({
    book,
    ledger,
    log,
    vitals: async () => ({ cpuMs: 1, memoryBytes: 1 << 20 }),
    endKeptOpen: async () => ({ outcome: 'ended' }) as const,
  })
  // Whatever is announced is answered, and some of it fails at first.
  let asked = 0
  const app = ledger.watch({
    plan: { name: 'app' },
    runs: async () => undefined,
    ending: () => undefined,
    checkpoint: async () =>
      ++asked % 3 === 0
        ? { outcome: 'failed', reason: 'dump-failed', detail: '' }
        : { outcome: 'taken', id: String(asked), phases: { startMs: 1, dumpMs: 1, totalMs: 2 }, bytes: 1 },
  })
  await notices.start(new Map([['app', app]]))
  return { log, book, notices }
}

/** One line: CPU time of this process from here on, its resident memory, and what it holds after a collection (needs --expose-gc). */
export function teller(book: SourceBook): () => void {
  const began = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(began)
    const rssBytes = process.memoryUsage.rss()
    globalThis.gc?.()
    const { heapUsed, external } = process.memoryUsage()
    const counted = { answers: 0, failures: 0, noticesSeen: 0 }
    for (const state of book.states) {
      counted.answers += state.answers
      counted.failures += state.failures
      counted.noticesSeen += state.noticesSeen
    }
    const told = { cpuMs: (user + system) / 1_000, rssBytes, heldBytes: heapUsed + external, ...counted }
    process.stdout.write(`${JSON.stringify(told)}\n`)
  }
}
