/**
 * The launcher of one container: its messages become events of the container, and it is told to keep the container open or to exit.
 * After each restart the container has another launcher, known by its life (lifeOf).
 */
import type { EventLog } from '../../src/log.ts'
import type { FromLauncher, RunPosition } from '../launcher-socket/launcher-messages.ts'
import type { LauncherConnection } from '../launcher-socket/launcher-server.ts'
import type { LauncherTalk } from '../launcher-socket/launcher-talk.ts'
import { isAliveNow, signal as sendSignal, treeOf } from '../proc/process-tree.ts'
import type { ContainerPreparation } from './preparation.ts'
import type { ContainerEvent, ContainerState } from './state.ts'

export type ContainerLauncherParts = {
  talk: LauncherTalk
  preparation: Pick<ContainerPreparation, 'abort' | 'adopted'>
  log: EventLog
  lifeOf: (pid: number) => string
  state: () => ContainerState
  dispatch: (event: ContainerEvent) => void
  /** Called when the launcher says that its application runs. */
  applicationRuns: () => void
}

export class ContainerLauncher {
  readonly #parts: ContainerLauncherParts
  /** The version of the file and the life of the launcher that spoke last. */
  #version = ''
  #life = ''
  #exitCode: number | undefined

  constructor(parts: ContainerLauncherParts) {
    this.#parts = parts
  }

  get version(): string {
    return this.#version
  }

  /** The launcher that spoke last. Undefined after its container ended, and where another process has its number. */
  get pid(): number | undefined {
    const state = this.#parts.state()
    return 'launcherPid' in state && this.#parts.lifeOf(state.launcherPid) === this.#life
      ? state.launcherPid
      : undefined
  }

  /** The life of the launcher that waits for its verdict. */
  get waiting(): string | undefined {
    const state = this.#parts.state()
    return state.at === 'preparing' ? state.life : undefined
  }

  /** Handles a message on a connection that introduced itself with `run`. */
  hear(connection: LauncherConnection, message: FromLauncher): void {
    const { talk, preparation, lifeOf, dispatch, applicationRuns } = this.#parts
    const state = this.#parts.state()
    switch (message.verb) {
      case 'run':
        talk.speaksOn(connection)
        this.#version = message.launcher
        this.#life = lifeOf(message.pid)
        return this.#introduced(message.pid, message.at)
      case 'started':
        preparation.abort()
        if ('launcherPid' in state)
          dispatch({ event: 'running', launcherPid: state.launcherPid, root: message.root })
        return applicationRuns()
      case 'adopted':
        return preparation.adopted()
      case 'gone':
        // With a false `gone`, the checkpoints of a running application would count as finished work.
        if ('root' in state && isAliveNow(state.root)) return connection.close()
        preparation.abort()
        return dispatch({ event: 'gone', ...endOf(message) })
      case 'signal':
        return this.#sendSignal(message.number, message.root)
      default:
        connection.close()
    }
  }

  #introduced(launcherPid: number, at: RunPosition): void {
    const { talk, preparation, dispatch, applicationRuns } = this.#parts
    const life = this.#life
    // A launcher that lost patience wants no restore. One that adopted has its restore, and CRIU may still be detaching.
    if (at.state === 'waiting' ? this.waiting !== life : at.state !== 'adopted') preparation.abort()
    switch (at.state) {
      case 'waiting':
        this.#exitCode = undefined
        talk.reassure(life, () => this.waiting !== undefined)
        return dispatch({ event: 'waiting', launcherPid, life })
      case 'gone':
        return dispatch({ event: 'gone', ...endOf(at) })
      default:
        dispatch({ event: 'running', launcherPid, root: at.root })
        applicationRuns()
    }
  }

  keepOpen(): void {
    this.#parts.talk.say({ verb: 'hold' })
    if (this.#exitCode !== undefined) this.#parts.talk.say({ verb: 'release', code: this.#exitCode })
  }

  /** Ends the container that is kept open with the code, which the owner of the pod sees. */
  exit(code: number): void {
    if (this.#parts.state().at !== 'kept-open') return
    // A launcher that has not yet seen the end of its application ignores this: `keepOpen` repeats it then.
    this.#exitCode = code
    this.keepOpen()
  }

  /** Sends a signal that the launcher may not send, to an application that changed its user. Only the root of the tree gets it. */
  #sendSignal(number: number, root: number): void {
    const state = this.#parts.state()
    if (!('root' in state) || state.root !== root || number < 1 || number > 64) return
    treeOf(root)
      .then((tree) => tree.length > 0 && sendSignal(root, number))
      .catch((error) =>
        this.#parts.log.warn(
          { event: 'signal.not_passed_on', err: error, number, root },
          'a signal was not passed on',
        ),
      )
  }
}

/** The end of the application. `exactOptionalPropertyTypes` allows no property that is undefined. */
function endOf({ code, told }: { code: number; told?: number }): { code: number; told?: number } {
  return told === undefined ? { code } : { code, told }
}
