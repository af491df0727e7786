/** A kubelet's folder of pods, in which sidecars listen. */
import { mkdirSync, symlinkSync } from 'node:fs'
import type { Test } from 'tap'
import { AgentLine, type AgentLineParts } from '../../sidecar/triggers/agent/agent-line.ts'
import { PodEvents } from '../../sidecar/setup/pod-events.ts'
import type { Notice } from '../../sidecar/triggers/notices/notice.ts'
import { SourceBook } from '../../sidecar/triggers/notices/source-book.ts'
import { quietLog } from '../sidecar/quiet-log.ts'
import { shortFolder } from '../sidecar/stand-ins.ts'

export type PodsFolder = {
  path: string
  /** @returns the folder `run` of the pod's volume, by a short name */
  addPod: (uid: string) => string
}

export function podsFolder(t: Test): PodsFolder {
  const path = shortFolder(t)
  const addPod = (uid: string) => {
    const run = `${path}/${uid}/volumes/kubernetes.io~empty-dir/reprieve/run`
    mkdirSync(run, { recursive: true })
    const short = `${path}/${uid.slice(-4)}`
    symlinkSync(run, short)
    return short
  }
  return { path, addPod }
}

export type ListeningSidecar = { line: AgentLine; heard: Notice[][]; book: SourceBook; events: PodEvents }

/** @param run where it listens */
export async function listeningSidecar(
  t: Test,
  run: string,
  parts: Partial<AgentLineParts> & { podUid: string },
): Promise<ListeningSidecar> {
  // prettier-ignore
  const heard: Notice[][] = []
  const book = new SourceBook()
  const events = new PodEvents()
  const line = new AgentLine({
    path: `${run}/agent.sock`,
    version: '0.0.1',
    hear: (_, notices) => heard.push(notices),
    book,
    events,
    peerPidsOf: async (sockets) => sockets.map(() => 0),
    log: quietLog,
    ...parts,
  })
  await line.start()
  t.teardown(() => line.stop())
  return { line, heard, book, events }
}
