/**
 * Random histories of a workload: never two writers of one epoch, never other work resumed, never a good generation's checkpoint deleted by a
 * younger one before its time, never a slot swept whose pod lives, and nothing left after its time to live. REPRIEVE_SOAK=1 runs 500 of them;
 * REPRIEVE_HISTORY is the seed of one.
 */
import { existsSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { folderFor, writeTree } from '../samples.ts'
import { realDecisions, World, type Decisions, type Trouble } from './world.ts'

const folder = folderFor(t, existsSync('/dev/shm') ? '/dev/shm' : tmpdir())
const source = writeTree(join(folder, 'source'), { a: Buffer.from('0123456789') })
const soaking = process.env.REPRIEVE_SOAK === '1'
const one = process.env.REPRIEVE_HISTORY
/** Every day the same ones; new ones in `make soak`. */
const first = one !== undefined ? Number(one) : soaking ? Math.floor(Math.random() * 2 ** 31) : 1

/** https://prng.di.unimi.it/splitmix64.c, of 32 bits */
function randomOf(seed: number) {
  let state = seed
  const next = () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
  }
  return <T>(choices: readonly T[]) => choices[Math.floor(next() * choices.length)] as T
}

const happenings = ['crash', 'evict', 'kill', 'node lost', 'node back', 'rollout', 'surge', 'rollback', 're-create', 'full store', 'scale up', 'scale down', 'clock jump', 'days', 'sweep', 'killed sweep', 'checkpoint', 'checkpoint', 'checkpoint', 'checkpoint'] as const // prettier-ignore
const [minute, steps] = [60_000, 18]

/** @returns what went wrong */
async function live(seed: number, decisions: Decisions): Promise<string[]> {
  const pick = randomOf(seed)
  const root = join(folder, `store-${seed}`)
  const world = new World(root, source, decisions)
  const told: string[] = []
  const trouble = () => pick<Trouble>(['none', 'none', 'none', 'none', 'slow store', 'bad node'])
  const node = () => pick(['a', 'b', 'c'])
  const seen = () => world.pods.filter(({ cutOff }) => !cutOff)
  let templates = 1
  const before = [world.work]
  await world.start(node(), 'none')
  for (let step = 0; step < steps && world.faults.length === 0; step++) {
    const what = pick(happenings)
    told.push(what)
    const [pod] = seen()
    const end = (all = world.pods) => (world.pods = world.pods.filter((one) => !all.includes(one)))
    if (what === 'crash' && pod !== undefined) await world.start(pod.node, trouble(), pod)
    if (what === 'evict' && pod !== undefined) await world.checkpoint(pod)
    if ((what === 'evict' || what === 'kill') && pod !== undefined) end([pod])
    if (what === 'node lost') for (const one of seen()) one.cutOff = pick([true, false])
    if (what === 'node back') {
      const back = world.pods.filter(({ cutOff }) => cutOff)
      for (const one of back) one.cutOff = false
      for (const one of back) await world.checkpoint(one)
      end(back)
    }
    if (what === 're-create') end()
    if (what === 're-create') world.work = { ...world.work, incarnation: `uid-${step + 2}` }
    if (what === 'rollout' || what === 'surge') world.work = { ...world.work, fingerprint: `template-${++templates}` } // prettier-ignore
    if (what === 'rollback') world.work = { ...world.work, fingerprint: pick(before).fingerprint }
    if (what === 'surge') await world.start(node(), trouble())
    if (['rollout', 'surge', 'rollback'].includes(what)) {
      const old = world.pods.filter(({ work }) => work.fingerprint !== world.work.fingerprint)
      for (const one of old) if (pick([true, false])) await world.checkpoint(one)
      end(old)
    }
    before.push(world.work)
    if (what === 'full store' && pod !== undefined) await world.checkpoint(pod, true)
    if (what === 'scale up') await world.start(node(), trouble())
    if (what === 'scale down' && seen().length > 1) end([pick(seen())])
    if (what === 'clock jump') world.clocks.set(node(), pick([-60, -1, 1, 60]) * minute)
    if (what === 'days') await world.pass(pick([1, 3, 8]))
    if (what.endsWith('sweep')) await world.sweep(what === 'killed sweep')
    if (what === 'checkpoint') for (const one of world.pods) await world.checkpoint(one)
    if (seen().length === 0) await world.start(node(), trouble())
  }
  if (world.faults.length === 0) await world.end()
  rmSync(root, { recursive: true, force: true })
  return world.faults.length === 0
    ? []
    : [`seed ${seed}: ${world.faults.join('; ')}, after ${told.join(', ')}`]
}

/** Of the first history that went wrong. */
async function faultsOf(from: number, count: number, decisions: Decisions): Promise<string[]> {
  for (let seed = from; seed < from + count; seed++) {
    const faults = await live(seed, decisions)
    if (faults.length > 0) return faults
  }
  return []
}

t.test(
  'whatever becomes of a workload, its checkpoints are its own, and only the newest go on',
  async (t) => {
    const count = one !== undefined ? 1 : soaking ? 500 : 20
    t.comment(`${count} histories, seeds from ${first}`)
    t.same(await faultsOf(first, count, realDecisions), [])
  },
)

/** Each with a seed that shows it. */
const mutations: [string, Partial<Decisions>, RegExp, number][] = [
  ['a writer that was overtaken goes on', { fences: false }, /in the turn of/, 24],
  ['every fresh start leaves what was before for good', { began: () => 'other-work' }, /good generation/, 10],
  ['the newest checkpoint is restored, of whatever work', { choose: (manifests) => ({ candidates: [...manifests], rejected: [] }) }, /other work/, 2], // prettier-ignore
  ['a pod that does not show that it lives', { beats: false }, /which lives/, 19],
  ['a sweep that removes nothing', { ttlMs: 100 * 86_400_000 }, /left after its time to live/, 1],
]
for (const [name, mutation, fault, seed] of mutations)
  t.test(`the checker finds: ${name}`, async (t) => {
    const faults = await faultsOf(seed, 100, { ...realDecisions, ...mutation })
    t.match(faults.join(), fault)
  })
