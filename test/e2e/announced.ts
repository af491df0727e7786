/** Ends that are announced, each in its announcer's own way: by the three clouds, and by a file as a daemon of the node puts it there. */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Pod } from '../harness/pod.ts'
import { AwsServer, AzureServer, GcpServer } from '../sidecar/triggers/clouds/metadata-server.ts'
import { openCloud } from './cloud.ts'
import { sidecar } from './support.ts'

/** `config`: lines of the webhook's configuration that name the cloud. `announce`: from now on it says that the machine ends then. */
export type AnnouncingCloud = { config: string; announce: (at: Date) => void }

export type SpotNotice = {
  what: string
  /** From the notice to the end, as the cloud promises it. */
  leadMs: number
  open: (t: Test) => Promise<AnnouncingCloud>
}

export const spotNotices: SpotNotice[] = [
  {
    what: 'AWS announces an interruption',
    leadMs: 120_000,
    open: async (t) => {
      const server = new AwsServer()
      return {
        config: await openCloud(t, 'aws', server),
        announce: (at) => {
          const action = { action: 'terminate', time: at.toISOString() }
          server.announced.set('spot/instance-action', JSON.stringify(action))
        },
      }
    },
  },
  {
    what: 'GCP preempts',
    leadMs: 30_000,
    open: async (t) => {
      const server = new GcpServer()
      // It says no instant: thirty seconds from the notice on.
      return {
        config: await openCloud(t, 'gcp', server),
        announce: () => server.change('preempted', 'TRUE'),
      }
    },
  },
  {
    what: 'Azure preempts',
    leadMs: 30_000,
    open: async (t) => {
      const server = new AzureServer()
      const event = { EventId: 'E1', EventType: 'Preempt', EventStatus: 'Scheduled', Resources: [server.machine] } // prettier-ignore
      return {
        config: await openCloud(t, 'azure', server),
        announce: (at) => server.schedule({ ...event, NotBefore: at.toUTCString() }),
      }
    },
  },
]

/** @param notice its fields: docs/notices.md */
export function putNotice(pod: Pod, name: string, notice: object): void {
  const folder = `/proc/${pod.pidOf(sidecar)}/root/reprieve/run/notices`
  writeFileSync(join(folder, `${name}.new`), JSON.stringify(notice))
  renameSync(join(folder, `${name}.new`), join(folder, name))
}
