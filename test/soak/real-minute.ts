/**
 * What a sidecar does for one source of notices at its real pace, pauses and all, for so many seconds: `real-minute.ts SECONDS CLOUD HOST PORT`
 * or `real-minute.ts SECONDS folder PATH`. Waking up costs what a loop without pauses does not show. What is compiled and begun at first is waited for,
 * and not counted.
 */
import type { CloudName } from '../../sidecar/triggers/clouds/cloud.ts'
import { CloudWatcher } from '../../sidecar/triggers/clouds/cloud-watcher.ts'
import { cloudsOf } from '../../sidecar/triggers/clouds/clouds.ts'
import { NoticeFolder } from '../../sidecar/triggers/notices/notice-folder.ts'
import { quietParts, teller } from './day.ts'

const settleMs = 10_000
const [seconds = '', name = '', place = '', port = ''] = process.argv.slice(2)
const { log, book, notices } = await quietParts()
const hear = (...said: Parameters<typeof notices.hear>) => notices.hear(...said)
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const folder = new NoticeFolder({ path: place, containers: ['app'], hear, book, log })
const endpoint = { host: place, port: Number(port) }
const watcher = new CloudWatcher(cloudsOf({ name: name as CloudName, endpoint }), hear, book, log)
if (name === 'folder') await folder.start()
else watcher.start()
await sleep(settleMs)
const tell = teller(book)
await sleep(Number(seconds) * 1_000)
tell()
folder.stop()
await watcher.stop()
