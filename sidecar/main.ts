/** The sidecar: builds its parts, connects them and starts. With `--explain` it prints its answer to each notice and exits. */
import { createLog, type EventLog } from '../src/log.ts'
import { volumePaths } from '../src/volume.ts'
import { Containers } from './container/containers.ts'
import { Dispatcher } from './launcher-socket/dispatcher.ts'
import { launchersBehind } from './launcher-socket/launcher-process.ts'
import { listenForLaunchers } from './launcher-socket/launcher-server.ts'
import { moveAside } from './proc/pid-range.ts'
import { renderMetrics } from './report/metrics.ts'
import { serveStatus } from './report/status-server.ts'
import { wantFetched } from './restore/wanted-numbers.ts'
import { collectWhenIdle } from './setup/idle-memory.ts'
import { clearLeftovers, findLeftovers } from './setup/leftovers.ts'
import { readSurroundings } from './setup/surroundings.ts'
import { installTools } from './setup/tools.ts'
import { thawLeftFrozen } from './triggers/memory/left-frozen.ts'
import { cgroupMount, MemoryCgroup } from './triggers/memory/memory-cgroup.ts'
import { explainDisruptions } from './triggers/agent/disruptions.ts'
import { explainAnswers } from './triggers/notices/answers.ts'
import { Triggers } from './triggers/triggers.ts'

/** The threads of libuv, read at their first use. Storing one checkpoint takes all of the usual four, for ever where the store hangs. */
process.env.UV_THREADPOOL_SIZE ??= '8'

/** Everything under way when the pod ends has its own deadline. If something hangs all the same, the pod must still end. */
const settleDeadlineMs = 60_000

if (process.argv.includes('--explain')) {
  process.stdout.write(`${explainAnswers()}\n${explainDisruptions()}`)
  process.exit()
}
const around = readSurroundings(process.env, createLog('sidecar'))
const { podPlan, identity, made } = around
const log: EventLog = around.log
// Before anything that can fail or take long: an earlier sidecar may have left the application frozen.
for (const { name } of podPlan.containers)
  void thawLeftFrozen({
    folder: `${volumePaths.run}/${name}`,
    // A mount of its own: the watch of the memory may begin meanwhile, and mounts as well.
    open: (pid) => MemoryCgroup.open(pid, `${cgroupMount(name)}-left`, around.log),
    log: around.log.child({ container: name }),
  })
await moveAside(log)
const { missing } = await installTools()
if (missing.length > 0)
  log.error({ event: 'tools.missing', missing }, 'tools are missing: applications run unprotected')
void clearLeftovers(await findLeftovers(log), log)

for (const { name } of missing.length > 0 ? podPlan.containers : [])
  around.events.tell({ reason: 'NotProtected', container: name, code: 'tools-missing', detail: `the image lacks ${missing.join(', ')}` }) // prettier-ignore

const containers = new Containers(around)
await containers.makeFolders()
await wantFetched(around)
around.numbers.watch()
const triggers = new Triggers(around, containers)
await triggers.start()
const dispatcher = new Dispatcher(containers.keepers, triggers.prestop, log)
const listener = await listenForLaunchers(volumePaths.socket, dispatcher, launchersBehind(log), log)
const { ledger } = containers
await serveStatus(
  { port: podPlan.statusPort, host: podPlan.statusHost },
  {
    ready: () => listener.listening,
    status: () => ({
      pod: identity,
      lineage: podPlan.lineage,
      made,
      missingTools: missing,
      residentBytes: process.memoryUsage.rss(),
      containers: containers.status,
      ...triggers.status,
    }),
    metrics: () =>
      renderMetrics({
        containers: containers.status,
        triggers: triggers.names,
        newest: (name) => ledger.newest(name),
        sources: triggers.sources.states,
        counts: ledger.counts,
        last: ledger.newestEntries,
      }),
  },
  log,
)
log.info({ event: 'sidecar.ready', containers: containers.names }, 'the sidecar is ready')
collectWhenIdle()

for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.on(name, () => {
    log.info({ event: 'sidecar.stopping', signal: name }, 'the sidecar was told to end')
    const settled = containers.settled().then(() => triggers.stop()).then(() => containers.leave()) // prettier-ignore
    const tooLong = new Promise((resolve) => setTimeout(resolve, settleDeadlineMs))
    void Promise.race([settled, tooLong]).then(() => process.exit(0))
  })
}
