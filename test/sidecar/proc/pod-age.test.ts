import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { uptime } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { podAgeMs } from '../../../sidecar/proc/pod-age.ts'
import { readStatNow } from '../../../src/process-stat.ts'

t.test('here it is that of the first process of the machine', async (t) => {
  const began = readStatNow(1)?.startTicks ?? Number.NaN
  const age = await podAgeMs()
  const now = (uptime() - began / 100) * 1000
  t.ok(age > 0 && age <= now && now - age < 60_000, `${age} of ${now}`)
})

t.test('in process numbers of its own a pod is younger than its machine', async (t) => {
  const module = join(import.meta.dirname, '../../../sidecar/proc/pod-age.ts')
  const script = `import { podAgeMs } from ${JSON.stringify(module)}; process.stdout.write(String(await podAgeMs()))`
  const argv = ['--pid', '--fork', '--mount-proc', process.execPath, '--input-type=module', '-e', script]
  const child = spawn('unshare', argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  await once(child, 'close')
  t.ok(said !== '' && Number(said) < (await podAgeMs()) / 2, said)
})
