/** A person who writes the store forges a checkpoint that gives its processes more than their container has. */
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { encodeNumber } from '../../sidecar/criu/protobuf.ts'
import { openSealedJson, sealJson } from '../../src/sealed-json.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { application, deadlineMs, openStage, podOf, sidecar, statusOf } from './support.ts'

const sysAdmin = 21n

/** Adds SYS_ADMIN to every set of each task, and puts the hashes right. @returns how many images were forged */
function forge(folder: string, capabilities: bigint): number {
  const file = join(folder, 'manifest.json')
  const manifest = openSealedJson(readFileSync(file)) as CheckpointManifest
  const [was, is] = [capabilities, capabilities | (1n << sysAdmin)].map((set) =>
    encodeNumber(0, Number(set & 0xffffffffn))
      .subarray(1)
      .toString('latin1'),
  )
  let forged = 0
  for (const stored of manifest.files) {
    if (!/^criu\/core-\d+\.img$/.test(stored.path)) continue
    const path = join(folder, 'files', stored.path)
    const image = readFileSync(path, 'latin1')
    const other = Buffer.from(
      image.replaceAll(was ?? '', () => is ?? ''),
      'latin1',
    )
    if (other.toString('latin1') !== image) forged++
    writeFileSync(path, other)
    stored.sha256 = createHash('sha256').update(other).digest('hex')
  }
  writeFileSync(file, sealJson(manifest))
  return forged
}

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
    const [manifest] = await stage.manifests()
    const [slot = ''] = readdirSync(stage.storeFolder)
    const folder = join(stage.storeFolder, slot, application, manifest?.id ?? '')
    t.ok(forge(folder, BigInt(`0x${stdout.split(/\s+/)[1]}`)) > 0, 'images were forged')

    const after = await stage.run(podOf(options))
    await after.waitForLog(sidecar, /went on from its checkpoint|from its beginning/, { deadlineMs })
    t.match((await statusOf(after)).containers[0], {
      rejected: [{ id: manifest?.id, reason: 'unfit-credentials', detail: /capabilities/ }],
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
