/** Run in a mount namespace of its own, where /reprieve/bin/launcher is a stand-in: one restore whose time is up soon after the adoption. */
import { restore } from '../../../sidecar/criu/restore.ts'
import { quietLog as log } from '../quiet-log.ts'

const [folder = '', answer = 'go'] = process.argv.slice(2)
const abort = new AbortController()
await restore({
  launcherPid: process.pid,
  root: process.pid,
  stdio: [],
  imagesFolder: folder,
  workFolder: folder,
  statusFile: `${folder}/status`,
  restored: async () => {
    setTimeout(() => abort.abort(), 100)
    return answer === 'go' ? 'go' : 'abort'
  },
  deadlineMs: 300,
  signal: abort.signal,
  log,
})
