/** The sidecar: wires its parts. With `--explain` it prints what it does for which notice, and ends. */
import { mkdir } from 'node:fs/promises'
import { createLog } from '../src/log.ts'
import { volumePaths } from '../src/volume.ts'
import { CheckpointLedger } from './container/ledger.ts'
import { CloudWatcher } from './triggers/clouds/cloud-watcher.ts'
import type { Hear } from './triggers/notices/notice.ts'
import { cloudsOf } from './triggers/clouds/clouds.ts'
import { ContainerKeeper } from './container/keeper.ts'
import { Dispatcher } from './launcher-socket/dispatcher.ts'
import { collectWhenIdle } from './setup/idle-memory.ts'
import { listenForLaunchers } from './launcher-socket/launcher-server.ts'
import { clearLeftovers, findLeftovers } from './setup/leftovers.ts'
import { renderMetrics } from './report/metrics.ts'
import { thawLeftFrozen } from './triggers/memory/left-frozen.ts'
import { cgroupMount, MemoryCgroup } from './triggers/memory/memory-cgroup.ts'
import { explainAnswers } from './triggers/notices/answers.ts'
import { NoticeFolder } from './triggers/notices/notice-folder.ts'
import { SourceBook } from './triggers/notices/source-book.ts'
import { moveAside } from './proc/pid-range.ts'
import { runsLauncher } from './proc/process-tree.ts'
import { serveStatus } from './report/status-server.ts'
import { readSurroundings } from './setup/surroundings.ts'
import { installTools } from './setup/tools.ts'
import { IntervalTrigger } from './triggers/interval/trigger.ts'
import { estimate, tookMost } from './triggers/notices/rates.ts'
import { ManualTrigger } from './triggers/manual/trigger.ts'
import { MemoryTrigger } from './triggers/memory/trigger.ts'
import { NodeMemoryTrigger } from './triggers/node-memory/trigger.ts'
import { NoticeTrigger } from './triggers/notices/trigger.ts'
import { PrestopTrigger } from './triggers/prestop/trigger.ts'
import type { Trigger } from './container/trigger.ts'

/** Of libuv's, read at their first use. Of its usual four, storing one checkpoint takes all, and for good where the store hangs. */
process.env.UV_THREADPOOL_SIZE ??= '8'

/** What is under way when the pod ends has deadlines of its own; something that hangs all the same must not hold the pod. */
const settleDeadlineMs = 60_000

if (process.argv.includes('--explain')) {
  process.stdout.write(explainAnswers())
  process.exit()
}
const log = createLog('sidecar')
const around = readSurroundings(process.env, log)
// Before anything that can fail or take long.
for (const { name } of around.podPlan.containers)
  void thawLeftFrozen({
    folder: `${volumePaths.run}/${name}`,
    // A mount of its own: the watch of the memory may begin meanwhile, and mounts as well.
    open: (pid) => MemoryCgroup.open(pid, `${cgroupMount(name)}-left`, around.log),
    log: around.log.child({ container: name }),
  })
await moveAside(log)
const { missing } = await installTools()
if (missing.length > 0) log.error({ missing }, 'tools are missing: applications run unprotected')
void clearLeftovers(await findLeftovers(around.log), around.log)

const keepers = new Map(
  around.podPlan.containers.map((plan, index) => [plan.name, new ContainerKeeper(around, plan, index)]),
)
for (const name of keepers.keys()) await mkdir(`${volumePaths.run}/${name}`, { recursive: true })
const prestop = new PrestopTrigger(around.log)
// The pod's end is always heeded: whether to be protected at all is the pod's other annotation.
const wanted = around.podPlan.triggers
const triggers: Trigger[] = [prestop]
if (wanted.includes('manual')) triggers.push(new ManualTrigger(volumePaths.control, around.log))
const ledger = new CheckpointLedger()
const book = new SourceBook()
const letGo = async (name: string) => (await keepers.get(name)?.letGo()) ?? ({ outcome: 'not-held' } as const)
const vitals = async (name: string) => keepers.get(name)?.vitals()
const notices = new NoticeTrigger({ book, ledger, vitals, letGo, log: around.log })
triggers.push(notices)
for (const [name, keeper] of keepers)
  keeper.observe(({ at }) => void (at === 'held' || notices.released(name)))
const { interval, meanTimeBetweenFailuresMs, lineage } = around.podPlan
const isOnTrial = (name: string) => keepers.get(name)?.isOnTrial === true
const saveable = async (name: string) => (isOnTrial(name) ? undefined : vitals(name))
const periodic =
  wanted.includes('interval') && interval !== 'off'
    ? new IntervalTrigger({
        interval,
        meanTimeBetweenFailuresMs,
        lineage,
        ledger,
        vitals: saveable,
        log: around.log,
      })
    : undefined
if (periodic !== undefined) triggers.push(periodic)
const memory = new MemoryTrigger(wanted.includes('memory') ? keepers.values() : [], around.log)
const nodeMemory = new NodeMemoryTrigger({
  evictionBytes: wanted.includes('memory') ? around.podPlan.nodeEvictionBytes : 0,
  evictionPercent: wanted.includes('memory') ? around.podPlan.nodeEvictionPercent : undefined,
  rootOf: (name) => keepers.get(name)?.root,
  isOnTrial,
  estimateMs: (name, bytes) => {
    const { startMs, dumpMs, storeMs } = estimate(tookMost(ledger.measured(name)), bytes)
    return startMs + dumpMs + storeMs
  },
  log: around.log,
})
triggers.push(memory, nodeMemory)
const containers = new Map([...keepers].map(([name, keeper]) => [name, ledger.watch(keeper)]))
for (const trigger of triggers) await trigger.start(containers)
const clouds = wanted.includes('spot') ? cloudsOf(around.podPlan.cloud) : []
const hear: Hear = (...said) => notices.hear(...said)
const watcher = new CloudWatcher(clouds, hear, book, around.log)
if (clouds.length > 0) watcher.start()
if (wanted.includes('manual')) {
  const parts = { path: volumePaths.notices, containers: [...keepers.keys()], hear, book, log: around.log }
  await new NoticeFolder(parts).start()
}
const listener = await listenForLaunchers(
  volumePaths.socket,
  new Dispatcher(keepers, prestop, (pid) => runsLauncher(pid, volumePaths.bin), around.log),
  around.log,
)
await serveStatus(
  { port: around.podPlan.statusPort, host: around.podPlan.statusHost },
  {
    ready: () => listener.listening,
    status: () => ({
      pod: around.identity,
      lineage: around.podPlan.lineage,
      made: around.made,
      missingTools: missing,
      residentBytes: process.memoryUsage.rss(),
      containers: [...keepers.values()].map((keeper) =>
        Object.assign(keeper.status, { lastAsked: ledger.last(keeper.plan.name) }),
      ),
      cloud: watcher.found,
      sources: book.states,
      notices: notices.status,
      interval: periodic?.status,
      memory: memory.status,
      nodeMemory: nodeMemory.status,
    }),
    metrics: () =>
      renderMetrics({
        containers: [...keepers.values()].map((keeper) => keeper.status),
        triggers: triggers.map((trigger) => trigger.name),
        newest: (name) => ledger.newest(name),
        sources: book.states,
        counts: ledger.counts,
        last: ledger.newestEntries,
      }),
  },
  around.log,
)
around.log.info({ containers: [...keepers.keys()] }, 'the sidecar is ready')
collectWhenIdle()

for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.on(name, () => {
    around.log.info({ signal: name }, 'the sidecar was told to end')
    const settled = Promise.all([...keepers.values()].map((keeper) => keeper.settled())).then(() =>
      Promise.all(triggers.map((trigger) => trigger.stop())),
    )
    const tooLong = new Promise((resolve) => setTimeout(resolve, settleDeadlineMs))
    void Promise.race([settled, tooLong]).then(() => process.exit(0))
  })
}
