/** A person who writes the store forges a checkpoint that gives its processes more than their container has. */
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { encodeMessage, encodeNumber, fieldsOf, withMessagesChanged } from '../../sidecar/criu/protobuf.ts'
import { openSealedJson, sealJson } from '../../src/sealed-json.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { application, deadlineMs, openStage, podOf, sidecar, statusOf, type Stage } from './support.ts'

const sysAdmin = 21n

/** The newest checkpoint's folder, once its images are changed and the hashes put right. @returns how many images were changed */
async function forge(
  { stage, files }: { stage: Stage; files: RegExp },
  change: (image: Buffer) => Buffer,
): Promise<{ id: string; forged: number }> {
  const [newest] = await stage.manifests()
  const id = newest?.id ?? ''
  const [slot = ''] = readdirSync(stage.storeFolder)
  const folder = join(stage.storeFolder, slot, application, id)
  const file = join(folder, 'manifest.json')
  const manifest = openSealedJson(readFileSync(file)) as CheckpointManifest
  let forged = 0
  for (const stored of manifest.files) {
    if (!files.test(stored.path)) continue
    const path = join(folder, 'files', stored.path)
    const image = readFileSync(path)
    const other = change(image)
    if (!other.equals(image)) forged++
    writeFileSync(path, other)
    stored.sizeBytes = other.length
    stored.sha256 = createHash('sha256').update(other).digest('hex')
  }
  manifest.totalBytes = manifest.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  writeFileSync(file, sealJson(manifest))
  return { id, forged }
}

const tasks = /^criu\/core-\d+\.img$/

/** Adds SYS_ADMIN to every set of a task. */
function withSysAdmin(image: Buffer, capabilities: bigint): Buffer {
  const [was = '', is = ''] = [capabilities, capabilities | (1n << sysAdmin)].map((set) =>
    encodeNumber(0, Number(set & 0xffffffffn))
      .subarray(1)
      .toString('latin1'),
  )
  return Buffer.from(image.toString('latin1').replaceAll(was, is), 'latin1')
}

/** Changes the only message of an image. */
function withMessage(image: Buffer, change: (message: Buffer) => Buffer): Buffer {
  const message = change(image.subarray(12))
  const head = Buffer.from(image.subarray(0, 12))
  head.writeUInt32LE(message.length, 8)
  return Buffer.concat([head, message])
}

/** Changes which filters a first thread names; those of the others come from it. */
function withFilters(image: Buffer, ...named: Buffer[]): Buffer {
  return withMessage(image, (message) => {
    const isFirst = fieldsOf(message).some(({ number }) => number === 3)
    const change = (thread: Buffer) => {
      const kept = fieldsOf(thread).filter(({ number }) => number !== 11 && number !== 12)
      return Buffer.concat([...kept.map(({ raw }) => raw), ...(isFirst ? named : [])])
    }
    return withMessagesChanged(message, 5, change) ?? message
  })
}

/** BPF_RET of SECCOMP_RET_ALLOW. */
const allowAll = Buffer.from('060000000000ff7f', 'hex')

t.test(
  'a checkpoint that was given SYS_ADMIN is passed over, and the application starts without it',
  async (t) => {
    const stage = await openStage(t, { programs: ['steps.c'] })
    const options = {
      command: ['/app/steps', '100000', '20'],
      securityContext: { allowPrivilegeEscalation: false, seccompProfile: { type: 'RuntimeDefault' } },
    }
    const before = await stage.run(podOf(options))
    await before.waitForLog(application, /^step 10 /, { deadlineMs })
    const { stdout } = await before.exec(application, ['grep', 'CapPrm', '/proc/self/status'], { deadlineMs })
    await before.evict()
    const held = BigInt(`0x${stdout.split(/\s+/)[1]}`)
    const { id, forged } = await forge({ stage, files: tasks }, (image) => withSysAdmin(image, held))
    t.ok(forged > 0, 'images were forged')

    const after = await stage.run(podOf(options))
    await after.waitForLog(sidecar, /went on from its checkpoint|from its beginning/, { deadlineMs })
    t.match((await statusOf(after)).containers[0], {
      rejected: [{ id, reason: 'unfit-credentials', detail: /capabilities/ }],
    })
    await after.waitForLog(application, /^step 10 /, { deadlineMs })
    await after.evict()

    // Its own checkpoint has what the container has: no_new_privs and the seccomp filter among them.
    const last = await stage.run(podOf(options))
    const word = await last.waitForLog(sidecar, /went on from its checkpoint|from its beginning/, {
      deadlineMs,
    })
    t.match(word.text, /went on from its checkpoint/)
  },
)

t.test('a checkpoint whose seccomp filters were taken away gets those of its container', async (t) => {
  const stage = await openStage(t, { programs: ['confined.c'] })
  const options = {
    command: ['/app/confined'],
    securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
  }
  const saved = async () => {
    const pod = await stage.run(podOf(options))
    const word = await pod.waitForLog(sidecar, /went on from its checkpoint|from its beginning/, {
      deadlineMs,
    })
    const first = await pod.waitForLog(application, /^step \d+ /, { deadlineMs })
    // What the second thread has found before the checkpoint may be in the first lines.
    const step = Number(first.text.split(' ')[1]) + 20
    const line = await pod.waitForLog(application, new RegExp(`^step ${step} `), { deadlineMs })
    await pod.evict()
    return [/went on/.test(word.text), line.text.replace(/^step \d+ /, '')]
  }
  t.same(await saved(), [false, '38 38 1'], 'clone3 is refused in both threads')

  // The newest first. The oldest one passes for that of the earlier container, and is replaced.
  const permissive = Buffer.concat(
    [[], [encodeNumber(2, 0)]].map((newer) =>
      encodeMessage(1, Buffer.concat([encodeMessage(1, allowAll), ...newer, encodeNumber(3, 1)])),
    ),
  )
  const open = (image: Buffer) => withMessage(image, () => permissive)
  t.equal((await forge({ stage, files: /^criu\/seccomp\.img$/ }, open)).forged, 1)
  await forge({ stage, files: tasks }, (image) =>
    withFilters(image, encodeNumber(11, 2), encodeNumber(12, 1)),
  )
  t.same(await saved(), [true, '38 38 2'], 'a filter that allows all is beside that of the container')

  t.ok((await forge({ stage, files: tasks }, (image) => withFilters(image))).forged > 0)
  t.same(await saved(), [true, '38 38 1'], 'where no filter is named, that of the container is there')
})
