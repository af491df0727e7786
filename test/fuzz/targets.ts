/**
 * Every parser of what a stranger wrote, with valid examples. `read` takes a damaged example as its reader in the program does: it returns, or
 * throws what that reader throws for what it refuses.
 */
import { readOptIn, readWishes } from '../../src/annotations.ts'
import { readPagemap } from '../../src/chunks/cut.ts'
import { readManifest as readChunked } from '../../src/chunks/manifest.ts'
import { readIndex } from '../../src/chunks/pack.ts'
import { unkeyedSeal } from '../../src/chunks/seal.ts'
import { parseManifest } from '../../src/manifest-codec.ts'
import { parsePodPlan } from '../../src/pod-plan.ts'
import { sealJson } from '../../src/sealed-json.ts'
import { parseSlotRecord } from '../../src/slot-record.ts'
import { withTodaysFolder } from '../../sidecar/criu/cluster-paths.ts'
import { withTimersRearmed } from '../../sidecar/criu/expired-timers.ts'
import { fileEntriesOf } from '../../sidecar/criu/image-entries.ts'
import { withCallRestarted } from '../../sidecar/criu/interrupted-calls.ts'
import { withOutsideClosed } from '../../sidecar/criu/outside-sockets.ts'
import { newAddresses, strangeAddresses, withNewAddresses } from '../../sidecar/criu/pod-addresses.ts'
import { withoutComparison } from '../../sidecar/criu/regular-files.ts'
import { parseMessage } from '../../sidecar/launcher-socket/launcher-messages.ts'
import { parseNote } from '../../sidecar/lineage/slot-note.ts'
import { excessIn, parseAllowance } from '../../sidecar/rights/credentials.ts'
import { processesIn, threadOf, withBase } from '../../sidecar/rights/own-filters.ts'
import { fitted } from '../../sidecar/restore/fit-connections.ts'
import { mayBeKept, readAnswer, retryAfterMs } from '../../sidecar/triggers/clouds/http-answer.ts'
import { parseRequest } from '../../sidecar/triggers/manual/trigger.ts'
import { readNoticeFile } from '../../sidecar/triggers/notices/notice-file.ts'
import { parseChallenges } from '../../webhook/registry/challenge.ts'
import { readDockerConfigJson } from '../../webhook/registry/docker-config.ts'
import { chooseImage } from '../../webhook/registry/platform.ts'
import { readImageConfig, readManifest } from '../../webhook/registry/manifest.ts'
import { parseReference } from '../../webhook/registry/reference.ts'
import * as examples from './examples.ts'

export type Target = {
  name: string
  examples: readonly Buffer[]
  /** JSON is damaged in its structure as well. `sealed`: and has its hash put right afterwards. */
  form?: 'bytes' | 'json' | 'sealed'
  read: (bytes: Buffer) => unknown
}

const json = (...values: unknown[]) => values.map((value) => Buffer.from(JSON.stringify(value)))
const lines = (...texts: string[]) => texts.map((text) => Buffer.from(text))
const allowance = parseAllowance('CapBnd:\t00000000a80425fb\nUid:\t1000\nGid:\t1000\nSeccomp:\t2\n', '')
const base = [{ program: Buffer.alloc(8, 1), flags: 0 }]
const bare = { state: { mode: 0, start: undefined } }
const tasks = new Map([10, 11].map((tid) => [`core-${tid}.img`, bare]))
const addresses = ['10.1.2.3', '::1', '127.0.0.1']

export const targets: readonly Target[] = [
  { name: 'annotations', form: 'json', examples: json(examples.annotations), read: (bytes) => readAnnotations(JSON.parse(String(bytes))) },
  { name: 'the plan', form: 'json', examples: json(examples.plan), read: (bytes) => parsePodPlan(String(bytes)) },
  { name: 'lines of a launcher', examples: lines(...examples.launcherLines), read: (bytes) => parseMessage(String(bytes)) },
  { name: 'requests by hand', form: 'json', examples: json(...examples.requests), read: (bytes) => parseRequest(String(bytes), ['main', 'other']) },
  { name: 'manifests', examples: [sealJson(examples.manifest)], read: parseManifest },
  { name: 'manifests with a right hash', form: 'sealed', examples: json(examples.manifest), read: parseManifest },
  { name: 'chunked manifests', examples: [examples.chunkedManifest], read: (bytes) => readChunked(bytes, unkeyedSeal, { id: 'c1', lineage: 'a/b' }) },
  { name: 'indexes of packs', examples: [examples.packIndex], read: (bytes) => readIndex(bytes, unkeyedSeal) },
  { name: 'indexes of packs with a right hash', examples: [examples.packIndex.subarray(0, -32)], read: (bytes) => readIndex(Buffer.concat([bytes, unkeyedSeal.mac(Buffer.from('RPVPACK'), bytes)]), unkeyedSeal) },
  { name: 'pagemaps', examples: [examples.pagemap], read: readPagemap },
  { name: 'slot records', form: 'sealed', examples: json(examples.record), read: parseSlotRecord },
  { name: 'slot notes', form: 'json', examples: json(examples.note), read: (bytes) => parseNote(String(bytes)) },
  { name: 'images of tasks: credentials', examples: examples.cores, read: (bytes) => excessIn(bytes, allowance) },
  { name: 'images of tasks: registers', examples: examples.cores.map((core) => core.subarray(12)), read: withCallRestarted },
  { name: 'images of tasks: filters', examples: examples.cores, read: threadOf },
  { name: 'images of filters', examples: examples.filters, read: (message) => withBase({ base, processes: [[['core-10.img', { state: { mode: 2, start: 1 } }]]], message }) },
  { name: 'images of processes', examples: examples.processes, read: (image) => processesIn(image, tasks) },
  { name: 'images of files', examples: examples.files, read: readFiles },
  { name: 'notices', form: 'json', examples: json(...examples.notices), read: (bytes) => readNoticeFile({ name: 'x.json', text: String(bytes), changedAt: 1.8e12 }, 'files', ['main']) },
  { name: 'answers of metadata services', examples: lines(...examples.answers), read: readMetadata },
  { name: 'challenges of registries', examples: lines(...examples.challenges), read: (bytes) => parseChallenges(bytes.toString('latin1')) },
  { name: 'manifests of images', form: 'json', examples: json(...examples.imageManifests), read: readImageManifest },
  { name: 'configurations of images', form: 'json', examples: json(examples.imageConfig), read: readImageConfig },
  { name: 'references to images', examples: lines(...examples.references), read: (bytes) => parseReference(String(bytes)) },
  { name: 'pull secrets', form: 'json', examples: json(examples.dockerConfig), read: (bytes) => readDockerConfigJson(String(bytes)) },
] // prettier-ignore

/** The webhook sees texts only: a pod with another form is no pod (webhook/pod.ts). */
function readAnnotations(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  const texts = Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, typeof one === 'string' ? one : JSON.stringify(one)]),
  )
  return [readOptIn(texts), readWishes(texts)]
}

/** One after the other, as a restore does, and an image that one has changed to the next. */
function readFiles(image: Buffer): unknown {
  const entries = [...fileEntriesOf(image)]
  const changes = [
    withTimersRearmed(image),
    withOutsideClosed(image),
    withoutComparison(image, () => 'programs'),
  ]
  const { change } = fitted(entries, new Set([1, 2, 3]), addresses, new Map())
  const strange = strangeAddresses(entries, addresses)
  const renamed = newAddresses(strange, addresses)
  const folders = new Map([['/etc/config', '..2026_01_02_03_04_05.123456789']])
  const changed = entries.map((entry) => [
    change(entry),
    withNewAddresses(entry, renamed),
    withTodaysFolder(entry, folders, () => 7, String),
  ])
  for (const one of changes) if (one !== undefined) for (const _ of fileEntriesOf(one.image)) continue
  return changed
}

function readMetadata(bytes: Buffer): unknown {
  const answer = readAnswer(bytes, true)
  return (
    answer && [
      mayBeKept(answer, bytes),
      retryAfterMs(answer.headers, 0),
      readAnswer(bytes.subarray(0, 20), false),
    ]
  )
}

function readImageManifest(bytes: Buffer): unknown {
  const manifest = readManifest(bytes, 'application/vnd.oci.image.index.v1+json')
  return manifest.kind === 'index' ? chooseImage(manifest.manifests, 'amd64') : manifest
}
