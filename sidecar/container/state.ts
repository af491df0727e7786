/**
 * The state of a protected container, as a pure reducer: each event gives the next state and the effects. The keeper (keeper.ts) gives it
 * the events and carries out the effects, one after another.
 */
import type { Outcome } from '../../src/outcome.ts'
import type { CheckpointRequest } from '../checkpoint/request.ts'

export type Running = {
  launcherPid: number
  root: number
  /** The checkpoint that the application was restored from, until it has run long enough to prove that checkpoint good. */
  onTrial: string | undefined
  /**
   * Checkpoints of a full memory, which the application has filled again since its restore. They are blamed for its death, however late it
   * dies: else an application that leaks would be restored and killed for ever, where a start from the beginning would help.
   */
  suspects?: readonly string[]
}

/** `life` tells the launcher from the next one, which often has the same process number (lifeOf). */
export type Waiting = { launcherPid: number; life: string }

export type ContainerState =
  /** No launcher has connected. */
  | { at: 'absent' }
  /** The launcher waits for its verdict, and the sidecar tries to restore. */
  | ({ at: 'preparing' } & Waiting)
  | ({ at: 'running' } & Running)
  | ({ at: 'checkpointing'; afterwards: 'resume' | 'end'; goneWith: number | undefined } & Running)
  /** The application was ended for a checkpoint that is in the store; the launcher keeps the container open. */
  | { at: 'kept-open'; launcherPid: number }
  /** The application ended by itself. */
  | { at: 'gone'; code: number }

export type ContainerEvent =
  | ({ event: 'waiting' } & Waiting)
  | { event: 'running'; launcherPid: number; root: number; restoredFrom?: string }
  /** `told`: the signal that told the application to end, if any. The launcher reports it, since the sidecar may have restarted. */
  | { event: 'gone'; code: number; told?: number }
  | { event: 'ending' }
  | { event: 'asked'; request: CheckpointRequest }
  /** The application runs again while its checkpoint is being stored. `root`: of the dumped tree, which may have been replaced since. */
  | { event: 'dumped'; root: number }
  | { event: 'taken'; root: number; ended: boolean; checkpoint: string }
  | { event: 'failed'; root: number }
  | { event: 'proved-alive' }
  /** The memory of the application is full again, or is free again. */
  | { event: 'fills-again' }
  | { event: 'relieved' }
  /** The announced end of the pod did not come. */
  | { event: 'end-kept-open' }

/** The outcome of the request to end a container that is kept open. */
export type EndKeptOpen = Outcome<{
  ended: object
  'not-kept-open': object
  /** Another pod has taken the slot lock and runs from the checkpoint. */
  'taken-over': { holder: string }
  /** The store does not answer: another pod may have the slot lock. */
  unknown: object
}>

export type Effect =
  /** `inOrder`: the last container was told to end, or its launcher reported the end: a restore that was under way did not kill it. */
  | ({ do: 'prepare'; inOrder?: true } & Waiting)
  | { do: 'take'; launcherPid: number; root: number; request: CheckpointRequest }
  | { do: 'keep-open' }
  | { do: 'let-end' }
  /** The application exited with 0 without having been told to end: the work is done and the lineage ends. */
  | { do: 'record-finished' }
  | { do: 'record-early-death'; checkpoint: string; code: number }
  | { do: 'record-proved-alive'; checkpoint: string }
  | { do: 'refuse'; reason: 'not-running' | 'pod-ending' }

export type Container = {
  state: ContainerState
  /** The kubelet ends the pod: an exit is then no sign of finished work, nor of a bad checkpoint. */
  ending: boolean
}

/** The application as the memory trigger sees it, which may freeze it. */
export type Doing =
  | 'runs'
  /** It runs, and CRIU is about to stop it for a checkpoint. */
  | 'to-be-saved'
  /** It runs, and its checkpoint is being stored. If it ends meanwhile, the kubelet restarts it at once. */
  | 'being-saved'
  /** It runs, and is to be ended with a checkpoint. */
  | 'being-ended'
  /** CRIU has stopped it. */
  | 'stopped'
  | 'gone'

/** Whether CRIU has stopped the application for the checkpoint under way. */
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
      // After a lost connection a launcher says it again, and its preparation is under way already.
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
      // An application that was told to end may be half shut down: restored from such a checkpoint it would end with 0, and the lineage with it.
      if (state.at === 'running' && ending && event.request.afterwards === 'resume')
        return to(state, { do: 'refuse', reason: 'pod-ending' })
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
      // CRIU killed the application and the launcher exits with the same code. The restarted container resumes from the checkpoint.
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
      // A checkpoint on trial is judged later.
      const good = suspects.filter((checkpoint) => checkpoint !== state.onTrial)
      return to(rest, ...good.map((checkpoint): Effect => ({ do: 'record-proved-alive', checkpoint })))
    }
  }
}

/** A new launcher whose predecessor reported no end: the whole container was killed (out of memory, for example). */
function killedWhole({ state, ending }: Container): Effect[] {
  return ending || state.at !== 'running' ? [] : blamed(state, killedCode)
}

function suspected(suspects: readonly string[] = []): Pick<Running, 'suspects'> {
  return suspects.length === 0 ? {} : { suspects }
}

/** The checkpoint on trial has proved good, unless it is a suspect. */
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

/**
 * 128 + SIGTRAP or SIGPIPE: a CRIU that is killed in the middle of a dump may take the application along, by its breakpoint or its
 * parasite. The checkpoint that the application came from is not to blame for that.
 */
const diedOfDump = (code: number | undefined) => code === 133 || code === 141

function whenGone({ state, ending }: Container, code: number): Step {
  if (state.at === 'checkpointing') {
    // Only after the dump is it known whether the checkpoint ended the application, or it ended by itself. Until then the launcher keeps
    // the container open: it would exit after 2 s, and removing a large dump takes longer.
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
  if (event.event === 'failed')
    return resumed(diedOfDump(goneWith) ? { ...running, onTrial: undefined } : running, ending, goneWith)
  // With a newer checkpoint, the one it came from is no longer on trial. A checkpoint of a memory that is still full is a suspect too.
  const { onTrial, suspects = [], ...rest } = running
  const all = suspects.length > 0 ? [...suspects, event.checkpoint] : suspects
  const step = resumed({ ...rest, onTrial: undefined, ...suspected(all) }, ending, goneWith)
  return { container: step.container, effects: [...proved({ ...running, onTrial }), ...step.effects] }
}

function runningAgain({ launcherPid, root, onTrial, suspects }: Running): Running {
  return { launcherPid, root, onTrial, ...suspected(suspects) }
}

/** @param goneWith the exit code, if the application ended meanwhile */
function resumed(running: Running, ending: boolean, goneWith: number | undefined): Step {
  const container: Container = { state: { at: 'running', ...running }, ending }
  return goneWith === undefined ? { container, effects: [] } : whenGone(container, goneWith)
}
