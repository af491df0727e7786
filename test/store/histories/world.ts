/**
 * A simulated cluster with one workload: its pods, their nodes and clocks, and one store in a folder. Which checkpoint a pod goes on from, which
 * generation it begins, what it prunes, whose turn it is and what a sweep removes, the real code decides. The world keeps the truth, and compares.
 */
import { existsSync, lstatSync, lutimesSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { makeCheckpointId } from '../../../src/checkpoint-id.ts'
import { restoredLife, startOfGeneration, type Life } from '../../../src/generation.ts'
import type { CheckpointManifest } from '../../../src/manifest.ts'
import { chooseCheckpoints } from '../../../src/restore-choice.ts'
import { leftBehind } from '../../../src/slot-record.ts'
import { createDirectoryStore } from '../../../src/store/directory.ts'
import type { Store } from '../../../src/store/store.ts'
import { namesOf } from '../../../src/work.ts'
import { instantInSlot } from '../../../sidecar/lineage/slot-instant.ts'
import { quietLog } from '../../sidecar/quiet-log.ts'
import { day, week } from '../aged.ts'
import { never, sampleDraft, slot } from '../samples.ts'

export type Work = { incarnation: string; fingerprint: string }
export type Pod = { uid: string; node: string; store: Store; work: Work; life: Life; hasTurn: boolean; cutOff: boolean } // prettier-ignore
/** What a test can put in place of the real decisions. */
export type Decisions = { choose: typeof chooseCheckpoints; began: typeof startOfGeneration; fences: boolean; beats: boolean; ttlMs: number } // prettier-ignore
export const realDecisions: Decisions = { choose: chooseCheckpoints, began: startOfGeneration, fences: true, beats: true, ttlMs: week } // prettier-ignore

const keep = 2
/** Of what happens to a start. */
export type Trouble = 'none' | 'slow store' | 'bad node'

export class World {
  readonly root: string
  readonly source: string
  readonly decisions: Decisions
  readonly faults: string[] = []
  readonly clocks = new Map<string, number>()
  pods: Pod[] = []
  work: Work = { incarnation: 'uid-1', fingerprint: 'template-1' }
  #made = 0
  /** The truth: whose turn it is, who published by which epoch, and whether a generation was left for good. */
  #turn: string | undefined
  readonly #publishers = new Map<number, string>()
  readonly #leftForGood = new Set<string>()
  #newestGeneration: string | undefined
  #listed = new Map<string, CheckpointManifest>()

  constructor(root: string, source: string, decisions: Decisions) {
    this.root = root
    this.source = source
    this.decisions = decisions
  }

  /** A new pod, or (`again`) a new container in the same one. */
  async start(node: string, trouble: Trouble, again?: Pod): Promise<Pod> {
    const uid = again?.uid ?? `pod-${++this.#made}`
    const store = again?.store ?? createDirectoryStore({ name: uid, path: this.root })
    const pod: Pod = { uid, node, store, work: this.work, life: { generation: { id: '', began: 'first' } }, hasTurn: false, cutOff: false } // prettier-ignore
    if (again === undefined) this.pods.push(pod)
    else Object.assign(again, pod)
    const self = again ?? pod
    self.hasTurn = await this.#takeTurn(self)
    const { reasons, restored, truth } = await this.#prepare(self, trouble)
    if (restored === undefined) {
      const began = this.decisions.began(reasons)
      self.life = { generation: { id: this.#newId(), began } }
      if (truth === 'good' && this.#newestGeneration !== undefined) this.#leave(this.#newestGeneration)
    } else self.life = restoredLife(restored, 'latest', () => this.#newId())
    await this.#look('a start')
    return self
  }

  async checkpoint(pod: Pod, fails = false): Promise<void> {
    if (pod.cutOff) return
    if (!pod.hasTurn) pod.hasTurn = await this.#takeTurn(pod)
    if (!pod.hasTurn) return
    const instant = await instantInSlot(
      pod.store,
      slot,
      quietLog,
      () => Date.now() + (this.clocks.get(pod.node) ?? 0),
    )
    const fits = { ...sampleDraft().fits, ...pod.work, architecture: process.arch }
    const draft = { ...sampleDraft({ slot, fits }), id: makeCheckpointId(instant), createdAt: instant.toISOString(), pod: { name: pod.uid, uid: pod.uid, node: pod.node }, ...pod.life } // prettier-ignore
    if (!this.decisions.fences) await pod.store.epochs.take(slot, { pod: pod.uid, uid: pod.uid, node: pod.node }, never) // prettier-ignore
    try {
      const { manifest } = await pod.store.put(draft, this.source, fails ? AbortSignal.abort() : never)
      this.#turn ??= pod.uid
      if (this.#turn !== pod.uid)
        this.faults.push(`${pod.uid} stored ${manifest.id} in the turn of ${this.#turn}`)
      const publisher = this.#publishers.get(manifest.epoch ?? 0) ?? pod.uid
      if (publisher !== pod.uid) this.faults.push(`epoch ${manifest.epoch}: ${publisher} and ${pod.uid}`)
      this.#publishers.set(manifest.epoch ?? 0, pod.uid)
      this.#newestGeneration = pod.life.generation.id
      this.#ages.set(pod.life.generation.id, 0)
      await this.#look('a checkpoint')
      await pod.store.prune(slot, keep, never, { generation: pod.life.generation.id, ttlMs: week })
      await this.#look('a prune', pod)
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === 'lineage-fenced') pod.hasTurn = false
      else if (!fails) throw error
    }
  }

  /** Everything in the store gets older, and the pods that live beat. */
  async pass(days: number): Promise<void> {
    for (const [generation, age] of this.#ages) this.#ages.set(generation, age + days)
    const names = existsSync(this.root) ? readdirSync(this.root, { recursive: true, encoding: 'utf8' }) : []
    for (const path of names.toReversed().map((name) => join(this.root, name))) {
      const then = new Date(lstatSync(path).mtimeMs - days * day)
      lutimesSync(path, then, then)
    }
    const beating = this.pods.filter(({ cutOff, hasTurn }) => this.decisions.beats && hasTurn && !cutOff)
    for (const pod of beating)
      await pod.store.epochs.beat(slot, never).catch((error: { code?: string }) => {
        if (error.code !== 'lineage-fenced') throw error
        pod.hasTurn = false
      })
  }

  /** @param isKilled in the middle, which leaves its claim */
  async sweep(isKilled = false): Promise<void> {
    const store = createDirectoryStore({ name: 'sweep', path: this.root })
    const abort = new AbortController()
    const lock = async () => {
      if (isKilled) abort.abort()
      return () => undefined
    }
    const swept = await store.sweep({ retention: { ttlMs: this.decisions.ttlMs }, lock }, abort.signal).catch((error: unknown) => {
      if (!isKilled) throw error
      return []
    }) // prettier-ignore
    const owner = this.pods.find(({ uid }) => uid === this.#turn)
    if (owner !== undefined && !owner.cutOff && swept.some(({ outcome }) => outcome === 'removed'))
      this.faults.push(`a sweep removed the slot of ${owner.uid}, which lives`)
    await this.#look('a sweep')
    // The next epoch is the first again, and a pod that comes back may have it.
    if (swept.some(({ outcome }) => outcome === 'removed')) {
      this.#turn = undefined
      this.#publishers.clear()
    }
  }

  /** After the last pod and the time to live nothing is left. */
  async end(): Promise<void> {
    this.pods = []
    await this.pass(8)
    await this.sweep()
    const left = existsSync(this.root) ? readdirSync(this.root) : []
    if (left.length > 0) this.faults.push(`left after its time to live: ${left.join()}`)
  }

  /** As the lock and the watch of the beat decide: a pod that can be seen keeps its turn. */
  async #takeTurn(pod: Pod): Promise<boolean> {
    const holder = this.pods.find(({ uid }) => uid === this.#turn)
    if (holder !== undefined && holder !== pod && !holder.cutOff) return false
    await pod.store.epochs.take(slot, { pod: pod.uid, uid: pod.uid, node: pod.node }, never)
    this.#turn = pod.uid
    return true
  }

  async #prepare(pod: Pod, trouble: Trouble) {
    if (!pod.hasTurn) return { reasons: ['lineage-busy'], restored: undefined, truth: 'surroundings' }
    if (trouble === 'slow store')
      return { reasons: ['store-failed'], restored: undefined, truth: 'surroundings' }
    const { manifests } = await pod.store.list(slot, never)
    const record = await pod.store.readRecord(slot, never)
    const choice = this.decisions.choose(
      manifests,
      record,
      { ...pod.work, architecture: process.arch },
      'latest',
    )
    const reasons = choice.rejected.map(({ reason }): string => reason)
    if (choice.otherWork !== undefined) {
      const left = {
        at: new Date(Date.now()).toISOString(),
        changed: namesOf(['env']),
        newest: choice.otherWork.newest,
      }
      await pod.store.writeRecord(slot, leftBehind(record, left), never)
    }
    const [restored] = choice.candidates
    if (trouble === 'bad node' && restored !== undefined)
      return { reasons: [...reasons, 'checkpoint-corrupt'], restored: undefined, truth: 'surroundings' }
    const newest = manifests[0]
    if (restored !== undefined && !isSame(restored.fits, pod.work))
      this.faults.push(`${restored.id} is of other work`)
    if (restored !== undefined && newest !== undefined && !isSame(newest.fits, pod.work))
      this.faults.push(`${restored.id} is older than other work`)
    return {
      reasons,
      restored,
      truth: newest !== undefined && !isSame(newest.fits, pod.work) ? 'good' : 'surroundings',
    }
  }

  /** @param pod that removed what is gone */
  async #look(what: string, pod?: Pod): Promise<void> {
    const { manifests } = await createDirectoryStore({ name: 'truth', path: this.root }).list(slot, never)
    const now = new Map(manifests.map((manifest) => [manifest.id, manifest]))
    const pruner = pod?.life.generation.id
    for (const [id, { generation, fits }] of this.#listed) {
      if (now.has(id)) continue
      const own = [...this.#listed.values()].filter((other) => other.generation?.id === pruner)
      const isOwnOld = generation?.id === pruner && own.filter((other) => other.id > id && now.has(other.id)).length >= keep // prettier-ignore
      const isOtherWork = pod !== undefined && !isSame(fits, pod.work) && own.some((other) => other.id > id)
      const isLeft = isOtherWork || (generation !== undefined && this.#leftForGood.has(generation.id))
      if (!isOwnOld && !isLeft && !this.#isOverdue(generation?.id))
        this.faults.push(`${what} removed ${id} of the good generation ${generation?.id}`)
    }
    this.#listed = now
  }

  /** What was left for good, and all that had been left before it. */
  #leave(generation: string): void {
    this.#leftForGood.add(generation)
    for (const { generation: older } of this.#listed.values())
      if (older !== undefined && older.id < generation) this.#leftForGood.add(older.id)
  }

  /** In days, of the newest checkpoint of each generation. */
  readonly #ages = new Map<string, number>()

  #isOverdue(generation: string | undefined): boolean {
    return generation === undefined || (this.#ages.get(generation) ?? 0) > 7
  }

  #ids = 0
  #newId(): string {
    return makeCheckpointId(new Date(Date.UTC(2026, 0, 1) + ++this.#ids))
  }
}

function isSame(one: Partial<Work>, other: Work): boolean {
  return one.incarnation === other.incarnation && one.fingerprint === other.fingerprint
}
