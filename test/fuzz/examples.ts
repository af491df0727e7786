/** Valid examples of what strangers write. */
import { writeManifest } from '../../src/chunks/manifest.ts'
import { writeIndex } from '../../src/chunks/pack.ts'
import { unkeyedSeal } from '../../src/chunks/seal.ts'
import { completeManifest } from '../../src/manifest-codec.ts'
import { emptySlotRecord } from '../../src/slot-record.ts'
import { encodeMessage, encodeNumber } from '../../sidecar/criu/protobuf.ts'
import { imageOf, messageImage } from '../sidecar/criu/image-of.ts'
import { established, socketEntry, v4, v6 } from '../sidecar/criu/inet-sockets.ts'
import { sampleDraft } from '../store/samples.ts'

const hash = 'a'.repeat(64)
const digest = `sha256:${hash}`
const id = '20260102T030405.678Z-0a1b2c3d'

export const annotations = {
  'reprieve.dev/checkpoint': 'true',
  'reprieve.dev/containers': 'main,other',
  'reprieve.dev/triggers': 'memory,spot',
  'reprieve.dev/memory-threshold': '85',
  'reprieve.dev/memory-max': '4Gi',
  'reprieve.dev/interval': '15m',
  'reprieve.dev/keep': '3',
  'reprieve.dev/key': 'train',
  'reprieve.dev/store': 'shared',
  'reprieve.dev/restore': id,
  'reprieve.dev/exclude': '/cache,/scratch/tmp',
  'reprieve.dev/external-files': 'safe',
}

const memory = { thresholdPercent: 85, answer: 'grow', maxBytes: 2 ** 32, recordsNeeds: true }
export const plan = {
  version: 1,
  namespace: 'ml-team',
  lineage: 'ml-team/Job/train/0',
  store: { kind: 'directory', name: 'default', path: '/store', earlierPath: '/' },
  keep: 3,
  retention: { ttlMs: 1000, namespaceBytes: 5 },
  restore: 'latest',
  triggers: ['memory', 'manual'],
  checkpointBudgetMs: 25_000,
  statusPort: 9464,
  cloud: { name: 'auto', endpoint: { host: '169.254.169.254', port: 80 } },
  interval: { everyMs: 60_000 },
  meanTimeBetweenFailuresMs: 86_400_000,
  nodeEvictionBytes: 0,
  nodeEvictionPercent: 5,
  containers: [{ name: 'main', fingerprint: 'abc', parts: { command: 'a1' }, emptyDirs: ['/a'], external: [], memory }],
} // prettier-ignore

export const launcherLines = [
  'run container=main pid=17 launcher=0123456789ab state=waiting',
  'run container=main pid=17 launcher=unknown state=adopted root=10001 supervisor=40',
  'run container=main pid=17 launcher=unknown state=gone code=0 told=15',
  'started root=10001',
  'gone code=137 told=15',
  'signal number=15 root=10001',
  'prestop container=main budget-ms=20000',
  'fetch url=https%3A%2F%2F127.0.0.1%3A8443%2Fx%3Fa%3Db header=X-A%3Ab header=X-C%3Ad',
]

export const requests = [{ container: 'main', reason: 'asked', afterwards: 'end', deadlineMs: 5000 }, {}]

export const manifest = completeManifest(sampleDraft(), [
  { path: 'criu/pages-1.img', sizeBytes: 4096, sha256: hash },
  { path: 'archive.tar', sizeBytes: 512, sha256: hash },
])

export const record = {
  ...emptySlotRecord(),
  finishedAt: '2026-01-02T03:04:05.678Z',
  trials: { [id]: { earlyDeaths: 1, lastReason: 'exit 1' } },
  needs: { memoryBytes: 2 ** 30, podUid: 'u' },
}

export const note = { pod: 'train-0', uid: 'u', leavesBy: 1.8e12, leavesInMs: 5000, work: { fingerprint: 'f', incarnation: 'i', parts: { command: 'a1' } } } // prettier-ignore

const credentials = Buffer.concat(
  [[1, 1000], [2, 1000], [3, 1000], [4, 1000], [5, 1000], [6, 1000], [7, 1000], [8, 1000], [9, 0], [9, 0], [10, 0],
   [10, 0], [11, 0], [11, 0], [12, 0xa80425fb], [12, 0], [13, 0], [14, 1000], [18, 1], [19, 0], [19, 0]]
    .map(([field = 0, value = 0]) => encodeNumber(field, value)),
) // prettier-ignore
const registers = Buffer.concat(
  [[8, 4], [13, 3], [14, 2], [15, 1], [16, 35], [17, 5000], [28, 1]].map(([field = 0, value = 0]) => encodeNumber(field, value)),
) // prettier-ignore
const interrupted = Buffer.from('58fcffffffffffffffff01', 'hex')
const core = Buffer.concat([
  encodeNumber(1, 1),
  encodeMessage(2, Buffer.concat([encodeNumber(1, 77), encodeMessage(2, Buffer.concat([interrupted, registers]))])),
  encodeMessage(3, encodeNumber(1, 1)),
  encodeMessage(5, Buffer.concat([encodeMessage(10, credentials), encodeNumber(11, 2)])),
]) // prettier-ignore
const program = Buffer.from('060000000000ff7f', 'hex')
const newest = encodeMessage(1, Buffer.concat([encodeMessage(1, program), encodeNumber(3, 1)]))
const oldest = encodeMessage(
  1,
  Buffer.concat([encodeMessage(1, program), encodeNumber(2, 0), encodeNumber(3, 1)]),
)
export const filters = [Buffer.concat([newest, oldest])]
const pair = [[1, 10], [2, 1], [3, 10], [4, 10], [5, 10], [5, 11]].map(([field = 0, value = 0]) => encodeNumber(field, value)) // prettier-ignore
export const processes = [messageImage([0x54564319, 0x50273030], Buffer.concat(pair))]
export const cores = [messageImage([0x54564319, 0x55053847], core)]

const entry = (type: number, field: number, ...fields: Buffer[]) =>
  Buffer.concat([encodeNumber(1, type), encodeNumber(2, 9), encodeMessage(field, Buffer.concat(fields))])
const regular = (name: string) =>
  entry(1, 3, encodeNumber(1, 9), encodeNumber(2, 1), encodeMessage(6, Buffer.from(name)), encodeNumber(8, 30), encodeNumber(10, 0o100644)) // prettier-ignore
const timer = entry(17, 12, ...[[1, 9], [2, 1], [5, 3], [6, 0], [7, 0], [8, 1], [9, 0], [10, 0]].map(([field = 0, value = 0]) => encodeNumber(field, value))) // prettier-ignore
const unix = (inode: number, peer: number, flags: number) =>
  entry(6, 8, encodeNumber(1, 9), encodeNumber(2, inode), encodeNumber(3, 1), encodeNumber(4, 1), encodeNumber(7, peer), encodeNumber(9, flags)) // prettier-ignore
export const files = [
  imageOf(
    regular('/data/log'),
    regular('/etc/config/..2026_01_01_00_00_00.1/a'),
    timer,
    unix(5, 6, 0),
    unix(6, 5, 1),
    ...established(1, v4(127, 0, 0, 1)),
    socketEntry({ inode: 3, source: [v6('fd000000000000000000000000000001'), 80], target: [v6('00'.repeat(16)), 0] }),
  ),
] // prettier-ignore

export const notices = [
  { kind: 'machine-terminated', by: '2027-01-02T03:04:05Z', certainty: 'certain', reason: 'x' },
  { container: 'main', inMs: 60_000, certainty: 'likely' },
]

const answerOf = (body: string, ...headers: string[]) =>
  ['HTTP/1.1 200 OK', `Content-Length: ${body.length}`, ...headers, '', body].join('\r\n')
export const answers = [
  answerOf('{"action": "terminate", "time": "2027-09-18T08:22:00Z"}', 'Content-Type: text/plain'),
  answerOf('TRUE', 'Metadata-Flavor: Google', 'ETag: 0123abcd'),
  'HTTP/1.1 429 Too Many Requests\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\nDate: Wed, 21 Oct 2026 07:27:00 GMT\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
]

export const challenges = [
  'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull"',
  'Basic realm="x\\"y", Digest qop=auth, nonce="n"',
]

const descriptor = (mediaType: string, more: object = {}) => ({ mediaType, digest, size: 7, ...more })
export const imageManifests = [
  {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [descriptor('application/vnd.oci.image.manifest.v1+json', { platform: { os: 'linux', architecture: 'amd64' } })],
  },
  {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('application/vnd.oci.image.config.v1+json'),
    layers: [],
  },
] // prettier-ignore
export const imageConfig = { architecture: 'amd64', os: 'linux', config: { Entrypoint: ['/e'], Cmd: ['a', 'b'] } } // prettier-ignore

export const references = [
  `registry.example:5000/a/b:1.2@${digest}`,
  'busybox',
  '[::1]:5000/x',
  'docker.io/a__b/c',
]

export const dockerConfig = { auths: { 'https://index.docker.io/v1/': { auth: Buffer.from('u:p').toString('base64') }, 'r.example': { username: 'u', password: 'p' } } } // prettier-ignore

export const packIndex = writeIndex(
  Buffer.alloc(16, 3),
  [
    { name: Buffer.alloc(32, 1), storedBytes: 300, rawBytes: 4096, method: 0 },
    { name: Buffer.alloc(32, 2), storedBytes: 4112, rawBytes: 4096, method: 1 },
  ],
  unkeyedSeal,
)

export const chunkedManifest = writeManifest(
  {
    version: 1,
    id: 'c1',
    lineage: 'a/b',
    keyId: 'none',
    generation: 1,
    epoch: 2,
    sizes: { contentBytes: 8192, newBytes: 8192, storedBytes: 4600 },
    ms: { index: 1, write: 2 },
    packs: [{ id: '03'.repeat(16), bytes: 4600, entries: 2, mac: '04'.repeat(32) }],
    files: [{ path: 'images/pages-1.img', bytes: 12_288, parts: [[0, 0], [4096], [0, 1]] }],
  },
  unkeyedSeal,
)

export const pagemap = Buffer.from('1943565425400856020000000807080000000880804010032004', 'hex')
