/**
 * What a protected container is doing, as a pure reducer: each event gives the next state and what is to be done. The keeper
 * (keeper.ts) feeds it and carries out the effects, one after another.
 */
import type { CheckpointRequest } from '../checkpoint/request.ts'

export type Running = {
  launcherPid: number
  root: number
  /** The checkpoint it came from, while it has not lived long enough to prove that one good. */
  onTrial: string | undefined
  /**
   * Checkpoints of a memory that was full, which the application has filled again since it went on from them: however late it dies of that, it
   * dies of them. Else what leaks would be restored and killed for ever, where a start from the beginning would help.
   */
  suspects?: readonly string[]
}

/** `life`: tells the launcher from the next one, which often has the same number (lifeOf). */
export type Waiting = { launcherPid: number; life: string }

export type ContainerState =
  /** No launcher has connected. */
  | { at: 'absent' }
  /** The launcher waits for a verdict; a restore is tried, or none is left to try. */
  | ({ at: 'preparing' } & Waiting)
  | ({ at: 'running' } & Running)
  | ({ at: 'checkpointing'; afterwards: 'resume' | 'end'; goneWith: number | undefined } & Running)
  /** Ended for a checkpoint that is in the store; the launcher holds the container open. */
  | { at: 'kept-open'; launcherPid: number }
  /** The application ended by itself. */
  | { at: 'gone'; code: number }

export type ContainerEvent =
  | ({ event: 'waiting' } & Waiting)
  | { event: 'running'; launcherPid: number; root: number; restoredFrom?: string }
  /** `told`: the signal that told it to end, where one did: said by the launcher, who outlives a sidecar that knew it. */
  | { event: 'gone'; code: number; told?: number }
  | { event: 'ending' }
  | { event: 'asked'; request: CheckpointRequest }
  /** The application runs on, and its checkpoint is only being stored. `root`: of the tree that was dumped, which may have been replaced since. */
  | { event: 'dumped'; root: number }
  | { event: 'taken'; root: number; ended: boolean; checkpoint: string }
  | { event: 'failed'; root: number }
  | { event: 'proved-alive' }
  /** Its memory is full again, or has room again. */
  | { event: 'fills-again' }
  | { event: 'relieved' }
  /** What it is held for did not come. */
  | { event: 'end-kept-open' }

/** What came of the request to end a container that is kept open. */
export type EndKeptOpen =
  | { outcome: 'ended' | 'not-kept-open' }
  /** Another pod has the lineage, and has gone on from there itself. */
  | { outcome: 'taken-over'; holder: string }
  /** The store does not say who has it: another pod may. */
  | { outcome: 'unknown' }

export type Effect =
  /** `inOrder`: the container before was told to end, or its launcher said how it did: a restore that was under way in it did not kill it. */
  | ({ do: 'prepare'; inOrder?: true } & Waiting)
  | { do: 'take'; launcherPid: number; root: number; request: CheckpointRequest }
  | { do: 'keep-open' }
  | { do: 'let-end' }
  /** Status 0 without having been told to end: the work is done, the lineage ends. */
  | { do: 'record-finished' }
  | { do: 'record-early-death'; checkpoint: string; code: number }
  | { do: 'record-proved-alive'; checkpoint: string }
  | { do: 'refuse'; reason: 'not-running' }

export type Container = {
  state: ContainerState
  /** The pod was told to end: an exit is then no sign of finished work, nor of a bad checkpoint. */
  ending: boolean
}

/** What the application is doing, for whoever wants it to stand still. */
export type Doing =
  | 'runs'
  /** It runs, and CRIU is about to hold it for a checkpoint. */
  | 'to-be-saved'
  /** It runs, and a checkpoint of it is being stored. It may end meanwhile, and is then started again at once. */
  | 'being-saved'
  /** It runs, and is to be ended with a checkpoint. */
  | 'being-ended'
  /** CRIU holds it. */
  | 'stopped'
  | 'gone'

/** How far CRIU is with the checkpoint that is under way. */
export type CriuPhase = 'not-yet' | 'now' | 'over'

export function doingOf(state: ContainerState, phase: CriuPhase, isStoring: boolean): Doing {
  if (state.at === 'running') return isStoring ? 'being-saved' : 'runs'
  if (state.at !== 'checkpointing' || state.goneWith !== undefined) return 'gone'
  if (phase === 'now') return 'stopped'
  if (state.afterwards === 'end') return 'being-ended'
  return phase === 'over' ? 'being-saved' : 'to-be-saved'
}

export const newContainer: Container = { state: { at: 'absent' }, ending: false }

type Step = { container: Container; effects: Effect[] }

export function reduce(container: Container, event: ContainerEvent): Step {
  const { state, ending } = container
  const to = (next: ContainerState, ...effects: Effect[]): Step => ({
    container: { state: next, ending },
    effects,
  })
  switch (event.event) {
    case 'waiting': {
      const { launcherPid, life } = event
      const inOrder = ending || state.at === 'gone' ? { inOrder: true as const } : {}
      // A launcher that says it again after a lost connection is already being prepared for.
      if (state.at === 'preparing' && state.life === life) return to(state)
      return {
        container: { state: { at: 'preparing', launcherPid, life }, ending: false },
        effects: [...killedWhole(container), { do: 'prepare', launcherPid, life, ...inOrder }],
      }
    }
    case 'running': {
      if (state.at === 'checkpointing' && state.root === event.root) return to(state)
      const { launcherPid, root, restoredFrom } = event
      const before = state.at === 'running' && state.root === root ? state : undefined
      const onTrial = restoredFrom ?? before?.onTrial
      return to({ at: 'running', launcherPid, root, onTrial, ...suspected(before?.suspects) })
    }
    case 'gone':
      return whenGone({ state, ending: ending || event.told !== undefined }, event.code)
    case 'ending':
      return { container: { state, ending: true }, effects: [] }
    case 'asked':
      if (state.at === 'running') {
        const { launcherPid, root } = state
        const { request } = event
        return to(
          { ...state, at: 'checkpointing', afterwards: request.afterwards, goneWith: undefined },
          { do: 'take', launcherPid, root, request },
        )
      }
      return to(state, { do: 'refuse', reason: 'not-running' })
    case 'dumped':
      return state.at === 'checkpointing' && state.root === event.root
        ? resumed(runningAgain(state), ending, state.goneWith)
        : to(state)
    case 'taken':
    case 'failed':
      return whenCheckpointEnded(container, event)
    case 'end-kept-open':
      // CRIU killed the application, and its launcher exits as that did; what is started in its place goes on from the checkpoint.
      return state.at === 'kept-open' ? to({ at: 'gone', code: killedCode }, { do: 'let-end' }) : to(state)
    case 'proved-alive':
      if ((state.at === 'running' || state.at === 'checkpointing') && state.onTrial !== undefined)
        return to({ ...state, onTrial: undefined }, ...proved(state))
      return to(state)
    case 'fills-again':
      if ((state.at === 'running' || state.at === 'checkpointing') && state.onTrial !== undefined)
        return to({ ...state, suspects: [...new Set([...(state.suspects ?? []), state.onTrial])] })
      return to(state)
    case 'relieved': {
      if (state.at !== 'running' && state.at !== 'checkpointing') return to(state)
      const { suspects = [], ...rest } = state
      // What is on trial has its time yet to come.
      const good = suspects.filter((checkpoint) => checkpoint !== state.onTrial)
      return to(rest, ...good.map((checkpoint): Effect => ({ do: 'record-proved-alive', checkpoint })))
    }
  }
}

/** A new launcher, and the last one never said how its application ended: the whole container was killed (out of memory, say). */
function killedWhole({ state, ending }: Container): Effect[] {
  return ending || state.at !== 'running' ? [] : blamed(state, killedCode)
}

function suspected(suspects: readonly string[] = []): Pick<Running, 'suspects'> {
  return suspects.length === 0 ? {} : { suspects }
}

/** What is on trial has proved itself, unless it is under suspicion. */
function proved({ onTrial, suspects = [] }: Running): Effect[] {
  return onTrial === undefined || suspects.includes(onTrial)
    ? []
    : [{ do: 'record-proved-alive', checkpoint: onTrial }]
}

function blamed({ onTrial, suspects = [] }: Running, code: number): Effect[] {
  const all = new Set([...(onTrial === undefined ? [] : [onTrial]), ...suspects])
  return [...all].map((checkpoint): Effect => ({ do: 'record-early-death', checkpoint, code }))
}

/** 128 + SIGKILL, as the runtime reports it. */
const killedCode = 137

function whenGone({ state, ending }: Container, code: number): Step {
  if (state.at === 'checkpointing') {
    // Whether the checkpoint ended it, or it ended under the dump, is known when the dump is over. Until then the launcher stays: it would
    // leave by itself after 2 s, and clearing a large dump away takes longer.
    return { container: { state: { ...state, goneWith: code }, ending }, effects: [{ do: 'keep-open' }] }
  }
  if (state.at === 'kept-open') return { container: { state, ending }, effects: [{ do: 'keep-open' }] }
  const effects: Effect[] = []
  if (code === 0 && !ending) effects.push({ do: 'record-finished' })
  else if (!ending && state.at === 'running') effects.push(...blamed(state, code))
  return { container: { state: { at: 'gone', code }, ending }, effects: [...effects, { do: 'let-end' }] }
}

function whenCheckpointEnded(
  { state, ending }: Container,
  event:
    { event: 'taken'; root: number; ended: boolean; checkpoint: string } | { event: 'failed'; root: number },
): Step {
  const isIts = (state.at === 'checkpointing' || state.at === 'running') && state.root === event.root
  if (!isIts) return { container: { state, ending }, effects: [] }
  if (event.event === 'taken' && event.ended) {
    const keptOpen: ContainerState = { at: 'kept-open', launcherPid: state.launcherPid }
    return { container: { state: keptOpen, ending }, effects: [{ do: 'keep-open' }] }
  }
  const goneWith = state.at === 'checkpointing' ? state.goneWith : undefined
  const running = runningAgain(state)
  if (event.event === 'failed') return resumed(running, ending, goneWith)
  // A newer checkpoint of it exists now: the one it came from is no longer on trial. Taken of a memory that is still full, it is no better.
  const { onTrial, suspects = [], ...rest } = running
  const all = suspects.length > 0 ? [...suspects, event.checkpoint] : suspects
  const step = resumed({ ...rest, onTrial: undefined, ...suspected(all) }, ending, goneWith)
  return { container: step.container, effects: [...proved({ ...running, onTrial }), ...step.effects] }
}

function runningAgain({ launcherPid, root, onTrial, suspects }: Running): Running {
  return { launcherPid, root, onTrial, ...suspected(suspects) }
}

/** @param goneWith the code that it ended with meanwhile */
function resumed(running: Running, ending: boolean, goneWith: number | undefined): Step {
  const container: Container = { state: { at: 'running', ...running }, ending }
  return goneWith === undefined ? { container, effects: [] } : whenGone(container, goneWith)
}
