/**
 * Objects of a bucket by signed URLs: this process has no credential, only the URLs that a signer gives it for one object each. A try that
 * may go better is made again, a bounded number of times, with pauses.
 *
 * A put whose answer was lost is put again. With `ifAbsent` the second one then meets the object of the first, which is told from
 * another's by its bytes: writers that must be told apart write different bytes.
 */
import { createHash } from 'node:crypto'
import { ReprieveError } from '../errors.ts'
import { verdictOf } from './answers.ts'
import { defaultBackOff, type BackOff } from './back-off.ts'
import type { Exchange, HttpAnswer } from './http-exchange.ts'
import { checkKey, checkPrefix } from './keys.ts'
import type { Objects } from './objects.ts'
import { checkRange, damaged, existsAlready, missing, type Range } from './outcomes.ts'
import type { Signer, Wanted } from './signer.ts'
import { givenUp, tried, type Try } from './tried.ts'

export type SignedObjectsOptions = {
  /** Of the store, for messages. */
  name: string
  signer: Signer
  exchange: Exchange
  /** What was found out of the server (find-habits.ts). */
  habits: Habits
  backOff?: BackOff
  /** The longest object that is read as a whole. */
  mostBytes?: number
}

export type Habits = {
  /** Whether it refuses to replace an object where `If-None-Match: *` is sent. */
  keepsConditions: boolean
  /** Whether a part of an object has the bytes that it should; where not, the whole is got, and cut here. */
  keepsRanges: boolean
  /** Whether the ETag of an object is the MD5 of its bytes; not so with some encryptions, and then it is compared with nothing. */
  etagIsMd5: boolean
}

/** An object is at most 64 MiB. */
const longestObject = 128 << 20
/** An answer that is no object: XML of an error. */
const longestRefusal = 64 << 10

export function createSignedObjects(options: SignedObjectsOptions): Objects {
  const { name, signer, habits, mostBytes = longestObject, backOff = defaultBackOff } = options
  const callTo = (action: string, signal: AbortSignal) => ({ store: name, action, signal, backOff })

  async function get(key: string, { signal, range }: Getting): Promise<Buffer> {
    const headers: Record<string, string> =
      range === undefined ? {} : { range: `bytes=${range.start}-${range.start + range.length - 1}` }
    const most = Math.max(range?.length ?? mostBytes, longestRefusal)
    return tried(callTo(`get the object ${key}`, signal), async (anew): Promise<Try<Buffer>> => {
      const answer = await sent(options, { wanted: { method: 'GET', key }, anew, headers, body: [], most, signal }) // prettier-ignore
      const verdict = verdictOf(answer, Date.now())
      if (verdict.kind === 'missing') throw missing(key)
      if (verdict.kind === 'beyond-end') throw damaged(key, 'it ends before the range that was wanted')
      if (verdict.kind === 'exists' || verdict.kind === 'conflict') return strange(answer)
      if (verdict.kind !== 'done') return verdict
      const problem = range === undefined ? problemOfWhole(answer, habits) : problemOfPart(answer, key, range)
      if (problem === undefined) return { kind: 'done', value: answer.body }
      return { kind: 'again', said: problem, atLast: damaged(key, problem) }
    })
  }

  async function put(
    key: string,
    body: readonly Uint8Array[],
    { signal, ifAbsent = false }: Putting,
  ): Promise<void> {
    const md5 = createHash('md5')
    for (const part of body) md5.update(part)
    const digest = md5.digest()
    const headers = { 'content-md5': digest.toString('base64') }
    const wanted: Wanted = { method: 'PUT', key, ifAbsent }
    let mayBeThere = false
    await tried(callTo(`put the object ${key}`, signal), async (anew): Promise<Try<undefined>> => {
      const earlier = mayBeThere
      mayBeThere = true
      const answer = await sent(options, { wanted, anew, headers, body, most: longestRefusal, signal })
      const verdict = verdictOf(answer, Date.now())
      if (verdict.kind === 'exists' && ifAbsent) {
        if (earlier && (await get(key, { signal })).equals(Buffer.concat(body))) return done
        throw existsAlready(key)
      }
      // Another writer is at it, who may still fail.
      if (verdict.kind === 'conflict') return { kind: 'again', said: verdict.said, ...(ifAbsent ? { atLast: existsAlready(key) } : {}) } // prettier-ignore
      if (verdict.kind === 'denied') mayBeThere = earlier
      if (verdict.kind === 'missing' || verdict.kind === 'exists' || verdict.kind === 'beyond-end') return strange(answer) // prettier-ignore
      if (verdict.kind === 'again' && verdict.damaged === true) return { ...verdict, atLast: damaged(key, `its bytes do not arrive: ${verdict.said}`) } // prettier-ignore
      if (verdict.kind !== 'done') return verdict
      const problem = habits.etagIsMd5 && etagOf(answer) !== digest.toString('hex')
      return problem ? { kind: 'again', said: storedOthers, atLast: damaged(key, storedOthers) } : done
    })
  }

  return {
    async put(key, body, putting) {
      checkKey(key)
      if (putting.ifAbsent === true && !habits.keepsConditions) throw conditionsIgnored(name, key)
      await put(key, body, putting)
    },
    async get(key, getting) {
      checkKey(key)
      const { signal, range } = getting
      checkRange(range)
      if (range === undefined || habits.keepsRanges) return get(key, getting)
      return cut(await get(key, { signal }), key, range)
    },
    async *list(prefix, { signal }) {
      checkPrefix(prefix)
      if (signal.aborted) throw givenUp(callTo(`list the objects ${prefix}`, signal))
      yield* signer.list(prefix, { signal })
    },
    async remove(keys, { signal }) {
      keys.forEach(checkKey)
      if (signal.aborted) throw givenUp(callTo('remove objects', signal))
      await signer.remove(keys, { signal })
    },
  }
}

type Getting = { signal: AbortSignal; range?: Range | undefined }
type Putting = { signal: AbortSignal; ifAbsent?: boolean }
const done: Try<undefined> = { kind: 'done', value: undefined }
const storedOthers = 'the store has other bytes of it than were sent'

type Sending = {
  wanted: Wanted
  anew: boolean
  headers: Record<string, string>
  body: readonly Uint8Array[]
  most: number
  signal: AbortSignal
}

/** @throws what the signer throws; ExchangeFailure */
async function sent({ signer, exchange }: SignedObjectsOptions, sending: Sending): Promise<HttpAnswer> {
  const { wanted, anew, headers, body, most, signal } = sending
  const signed = await signer.sign(wanted, { signal, anew })
  return exchange({
    method: wanted.method,
    url: new URL(signed.url),
    headers: { ...headers, ...signed.headers },
    body,
    mostBytes: most,
    signal,
  })
}

function problemOfWhole(answer: HttpAnswer, { etagIsMd5 }: Habits): string | undefined {
  if (answer.status !== 200) return `HTTP ${answer.status} where the whole was wanted`
  if (!etagIsMd5 || etagOf(answer) === createHash('md5').update(answer.body).digest('hex')) return undefined
  return 'its bytes do not have the checksum that the store tells of them'
}

function problemOfPart(
  { status, headers, body }: HttpAnswer,
  key: string,
  { start, length }: Range,
): string | undefined {
  if (status !== 206) return `HTTP ${status} where a part was wanted`
  const [, from, to] = /^bytes (\d+)-(\d+)\//.exec(headers['content-range'] ?? '') ?? []
  // The end of the object, by a server that knows it: no other try will be longer.
  if (Number(from) === start && Number(to) < start + length - 1) throw damaged(key, `it ends at byte ${Number(to)}, and ${length} from byte ${start} on were wanted`) // prettier-ignore
  if (Number(from) !== start || Number(to) !== start + length - 1) return `another part came than was wanted: ${headers['content-range']?.slice(0, 80)}` // prettier-ignore
  return body.length === length ? undefined : `${body.length} bytes came of the ${length} that were wanted`
}

function cut(whole: Buffer, key: string, { start, length }: Range): Buffer {
  if (start + length > whole.length) throw damaged(key, `it has ${whole.length} bytes, and ${length} from byte ${start} on were wanted`) // prettier-ignore
  return whole.subarray(start, start + length)
}

function etagOf({ headers }: HttpAnswer): string | undefined {
  return headers.etag?.replaceAll('"', '')
}

function strange({ status }: HttpAnswer): Try<never> {
  return {
    kind: 'failed',
    said: `HTTP ${status}, which answers nothing that was asked: is this an S3 server?`,
  }
}

function conditionsIgnored(store: string, key: string): ReprieveError {
  const message = `store "${store}" replaces objects although it is told not to (If-None-Match), so ${key} was not put: two writers could not be kept apart`
  return new ReprieveError('conditions-ignored', message, { store, key })
}
