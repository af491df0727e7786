import t from 'tap'
import { join } from 'node:path'
import { symlinkSync } from 'node:fs'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { launch, launcherPath, scratch } from './launcher.ts'
import { until } from '../until.ts'

/** The hook as CRIU starts it, with the sidecar's socket as descriptor 3. */
async function hook(
  t: Test,
  env: Record<string, string> = { CRTOOLS_SCRIPT_ACTION: 'post-restore', CRTOOLS_INIT_PID: '20001' },
) {
  const file = join(scratch(t), 'criu-hook')
  symlinkSync(launcherPath, file)
  const started = launch(t, [], { file, env, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  const socket = started.child.stdio[3] as Socket
  socket.on('error', () => socket.destroy()) // it may leave before it has read all
  let heard = ''
  socket.on('data', (data: Buffer) => (heard += data.toString()))
  if (env.CRTOOLS_SCRIPT_ACTION) await until('its line', () => heard.endsWith('\n'))
  return { ended: started.ended, socket, heard: () => heard }
}

void t.test('says the action and the pid, and lets CRIU go on at the word go', async (t) => {
  const { ended, socket, heard } = await hook(t)
  t.equal(heard(), 'post-restore pid=20001\n')
  socket.write('go\n')
  t.equal((await ended).code, 0)
  t.equal((await ended).stderr, '')
})

void t.test('makes CRIU stop at the word abort', async (t) => {
  const { ended, socket } = await hook(t)
  socket.write('abort\n')
  t.equal((await ended).code, 1)
})

void t.test('makes CRIU stop at anything else', async (t) => {
  const { ended, socket } = await hook(t)
  socket.write('going going going going\n')
  t.equal((await ended).code, 1)
})

void t.test('waits on as long as the sidecar says so', async (t) => {
  const { ended, socket } = await hook(t)
  const early = Promise.race([ended.then(() => true), sleep(300).then(() => false)])
  for (let word = 0; word < 5; word++) socket.write('wait\n')
  t.equal(await early, false)
  socket.write('wait\ngo\n')
  t.equal((await ended).code, 0)
})

void t.test('makes CRIU stop when the sidecar is silent for ten seconds', async (t) => {
  const { ended, socket } = await hook(t)
  await sleep(2_000)
  socket.write('wait\n')
  const said = Date.now()
  t.equal((await ended).code, 1)
  const silentMs = Date.now() - said
  t.ok(silentMs > 9_500 && silentMs < 15_000, `${silentMs} ms after its last word`)
  t.match((await ended).stderr, /no word from the sidecar at post-restore/)
})

void t.test('makes CRIU stop when the sidecar is gone', async (t) => {
  const { ended, socket } = await hook(t)
  socket.destroy()
  t.equal((await ended).code, 1)
  t.match((await ended).stderr, /post-restore/)
})

void t.test('names pid 0 where CRIU knows none yet', async (t) => {
  const { ended, socket, heard } = await hook(t, { CRTOOLS_SCRIPT_ACTION: 'pre-restore' })
  t.equal(heard(), 'pre-restore pid=0\n')
  socket.write('go\n')
  t.equal((await ended).code, 0)
})

void t.test('is for CRIU only', async (t) => {
  const { ended } = await hook(t, {})
  t.equal((await ended).code, 1)
  t.match((await ended).stderr, /CRTOOLS_SCRIPT_ACTION/)
})
