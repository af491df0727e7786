/** Watches that cannot be begun, of what an earlier life of the sidecar has left behind. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import type { ContainerState } from '../../../sidecar/container-state.ts'
import { MemoryTrigger, type WatchedContainer } from '../../../sidecar/triggers/memory.ts'
import { lifeOf } from '../../../sidecar/process-tree.ts'
import { brakeBytes, plainCgroup } from '../memory/plain-cgroup.ts'
import { quietLog } from '../quiet-log.ts'
import { containerPlan, until } from '../stand-ins.ts'

const launcherPid = 42
const running: ContainerState = { at: 'running', launcherPid, root: 43, onTrial: undefined }

/** @param failures how often the cgroup cannot be mounted */
async function trigger(t: Test, failures: number) {
  const of = plainCgroup(t)
  const run = of.file('run')
  mkdirSync(`${run}/app`, { recursive: true })
  const observers: ((state: ContainerState) => void)[] = []
  const container: WatchedContainer = {
    plan: containerPlan,
    isRunning: () => true,
    isOnTrial: false,
    fillsAgain: () => undefined,
    relieved: () => undefined,
    checkpoint: () => Promise.reject(new Error('none is asked for')),
    recordedNeed: async () => undefined,
    recordNeed: async () => undefined,
    leave: () => undefined,
    endsStandingStill: () => 0,
    passOn: () => undefined,
    observe: (changed) => observers.push(changed),
    whenHeld: () => undefined,
  }
  let tries = 0
  const open = async () => {
    if (++tries <= failures) throw new Error('no mount')
    return of.cgroup
  }
  const memory = new MemoryTrigger([container], quietLog, { run, open })
  t.teardown(() => memory.stop())
  return {
    ...of,
    run,
    memory,
    start: () => memory.start(new Map()),
    becomes: (state: ContainerState) => observers.forEach((changed) => changed(state)),
    tries: () => tries,
  }
}

t.test('a brake of an earlier life is taken over, though not at the first try', async (t) => {
  const of = await trigger(t, 1)
  of.set('memory.high', brakeBytes)
  writeFileSync(`${of.run}/app/brake-${lifeOf(launcherPid)}`, `max ${brakeBytes}`)
  await of.start()
  of.becomes(running)
  await until('the first try', () => of.tries() === 1)
  t.match(of.memory.status, [{ watch: 'unwatched' }])
  await until('it to be watched', () => of.memory.status[0]?.watch === 'armed')
  await of.memory.stop()
  t.equal(of.read('memory.high'), 'max', 'what was before the earlier life')
})

t.test('a watch that cannot be set up is not taken for one, and is tried again', async (t) => {
  const of = await trigger(t, 0)
  of.set('memory.high', brakeBytes)
  writeFileSync(`${of.run}/app/brake-${lifeOf(launcherPid)}`, `max ${brakeBytes}`)
  const setBrake = of.cgroup.setBrake.bind(of.cgroup)
  of.cgroup.setBrake = () => Promise.reject(new Error('EIO'))
  await of.start()
  of.becomes(running)
  await until('the first try', () => of.tries() === 1)
  await until('the brake to be let go', () => of.read('memory.high') === 'max')
  t.match(of.memory.status, [{ watch: 'unwatched' }])
  of.cgroup.setBrake = setBrake
  await until('it to be watched', () => of.memory.status[0]?.watch === 'armed')
  t.equal(of.read('memory.high'), String(brakeBytes))
})

t.test('a mark that is there all the same is heeded when the watch begins', async (t) => {
  const of = await trigger(t, 0)
  of.set('cgroup.freeze', 1)
  writeFileSync(`${of.run}/app/frozen`, String(launcherPid))
  await of.start()
  of.becomes(running)
  await until('it to be let go', () => of.read('cgroup.freeze') === '0')
  t.notOk(existsSync(`${of.run}/app/frozen`))
})

t.test('what somebody else has frozen is not ours to let go', async (t) => {
  const of = await trigger(t, 0)
  of.set('cgroup.freeze', 1)
  await of.start()
  of.becomes(running)
  await until('it to be watched', () => of.memory.status[0]?.watch === 'armed')
  t.equal(of.read('cgroup.freeze'), '1')
})
