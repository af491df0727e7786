import { spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { answerHooks, type HookHandler } from '../../../sidecar/criu/hook-channel.ts'
import { until } from '../../until.ts'

/** A real child with a real socket pair as descriptor 3, as CRIU's hook has it. */
function ask(t: Test, script: string, handler: HookHandler) {
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout?.on('data', (chunk) => {
    said += String(chunk)
  })
  answerHooks(child.stdio[3] as Duplex, handler)
  return { child, said: () => said }
}

t.test('each question is answered, in its words', async (t) => {
  const asked: string[] = []
  const script =
    'for at in pre-dump post-dump; do echo "$at pid=7" >&3; read answer <&3; echo "$at:$answer"; done'
  const { child, said } = ask(t, script, async (action) => {
    asked.push(action)
    return action === 'post-dump' ? 'abort' : 'go'
  })
  await once(child, 'close')
  t.strictSame(asked, ['pre-dump', 'post-dump'])
  t.equal(said(), 'pre-dump:go\npost-dump:abort\n')
})

t.test('a handler that fails means abort', async (t) => {
  const { child, said } = ask(t, 'echo "post-dump pid=7" >&3; read answer <&3; echo "$answer"', () =>
    Promise.reject(new Error('unforeseen')),
  )
  await once(child, 'close')
  t.equal(said(), 'abort\n')
})

t.test('a question that comes in pieces is one question', async (t) => {
  const asked: string[] = []
  const script = 'printf post- >&3; sleep 0.1; printf "dump pid=7\\n" >&3; read answer <&3; echo "$answer"'
  const { child, said } = ask(t, script, async (action) => {
    asked.push(action)
    return 'go'
  })
  await once(child, 'close')
  t.strictSame(asked, ['post-dump'])
  t.equal(said(), 'go\n')
})

t.test('an answer to one that is gone is lost, not an error', async (t) => {
  let release: (() => void) | undefined
  const { child } = ask(t, 'echo "post-dump pid=7" >&3', async () => {
    await new Promise<void>((resolve) => {
      release = resolve
    })
    return 'go'
  })
  await until('the question, and the end', () => release !== undefined && child.exitCode !== null)
  release?.()
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.equal(child.exitCode, 0)
})
