import { mkdirSync, readdirSync, readlinkSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { until } from '../until.ts'
import { launch, scratch } from './launcher.ts'

const lock = (t: Test, file: string, waitMs: number) =>
  launch(t, ['lock', String(waitMs), file], { stdio: ['pipe', 'pipe', 'pipe'] })

const target = (link: string) => {
  try {
    return readlinkSync(link)
  } catch {
    return ''
  }
}

void t.test('a waiting pod whose slot is swept gets the lock that counts, or asks again', async (t) => {
  const root = scratch(t)
  const folder = join(root, 'slot')
  const file = join(folder, 'claim')
  for (const isMadeAnew of [true, false]) {
    mkdirSync(folder)
    const sweep = lock(t, file, 0)
    await until('the sweep to have the lock', () => sweep.output() === 'held\n')
    const waiting = lock(t, file, 60_000)
    const opened = () => readdirSync(`/proc/${waiting.pid}/fd`).some((fd) => target(`/proc/${waiting.pid}/fd/${fd}`) === file) // prettier-ignore
    await until('the pod to have opened the file', opened)
    renameSync(folder, join(root, 'trash'))
    if (isMadeAnew) mkdirSync(folder)
    sweep.child.stdin?.end()
    if (isMadeAnew) {
      await until('the pod to have the lock', () => waiting.output() === 'held\n')
      const second = await lock(t, file, 0).ended
      t.equal(second.stdout, 'busy\n', 'nobody else gets it')
      waiting.child.stdin?.end()
      await waiting.ended
    } else t.equal((await waiting.ended).stdout, 'busy\n', 'the slot has to be made anew')
    rmSync(join(root, 'trash'), { recursive: true })
    rmSync(folder, { recursive: true, force: true })
  }
})
