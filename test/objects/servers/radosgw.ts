/**
 * Ceph's own S3 server, out of a newer Debian than this machine's, with a SQLite file in the place of a cluster (`dbstore`). It checks
 * signatures and Content-MD5 as it does everywhere. This backend ignores `If-None-Match`, and answers a range with the bytes from the
 * beginning (18.2.7).
 */
import { spawn } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { cached, hashOf } from '../../../scripts/cache.ts'
import { must, run } from '../../../scripts/command.ts'
import { baseSuite, preparedByScript } from '../../../scripts/rootfs.ts'
import { freePort } from '../../free-port.ts'
import { folderFor } from '../../store/samples.ts'
import { answering, withTest, type Credential, type S3Server } from './s3-server.ts'

const script = join(import.meta.dirname, 'radosgw.sh')
const credential: Credential = { accessKeyId: 'reprievetests', secretAccessKey: 'only for the tests' }
const programs = ['radosgw', 'radosgw-admin']

/** The folder of the programs and their libraries. */
export function radosgw(): Promise<string> {
  const recipe = hashOf('radosgw 3', baseSuite, JSON.stringify(credential), readFileSync(script))
  return cached('tools', 'radosgw', recipe, async (draft) => {
    const rootfs = join(draft, 'rootfs')
    mkdirSync(rootfs)
    await preparedByScript(rootfs, script)
    mkdirSync(join(draft, 'lib'))
    for (const program of programs) await collect(rootfs, join('/usr/bin', program), draft)
    await must(['rm', '-rf', '--one-file-system', rootfs], { deadlineMs: 120_000 })
    await makeUser(draft)
  })
}

async function collect(rootfs: string, program: string, folder: string): Promise<void> {
  copyFileSync(join(rootfs, program), join(folder, basename(program)))
  // "libfoo.so.1 => /lib/.../libfoo.so.1 (0x...)", and the linker itself without an arrow.
  for (const line of (await must(['chroot', rootfs, 'ldd', program])).split('\n')) {
    const [, name = '', path] = /^\s*(\S+)(?: => (\/\S+))? \(0x/.exec(line) ?? []
    if (path !== undefined) copyFileSync(join(rootfs, path), join(folder, 'lib', name))
    else if (name.startsWith('/')) copyFileSync(join(rootfs, name), join(folder, 'ld.so'))
  }
}

/** Its database with one user, to be copied. The program that makes it hangs at its own end once in ten times. */
async function makeUser(tools: string): Promise<void> {
  const folder = join(tools, 'database')
  const words = ['user', 'create', '--uid=tests', '--display-name=tests', `--access-key=${credential.accessKeyId}`, `--secret-key=${credential.secretAccessKey}`] // prettier-ignore
  for (let left = 5; ; left--) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder)
    writeFileSync(join(folder, 'ceph.conf'), settings(1))
    const { code, stderr } = await run([...command(tools, 'radosgw-admin', folder), ...words], { deadlineMs: 20_000 }) // prettier-ignore
    if (code === 0) return
    if (left === 0) throw new Error(`radosgw-admin could not make a user: ${stderr.slice(-2_000)}`)
  }
}

function command(tools: string, program: string, folder: string): string[] {
  const inside = ['sh', '-c', 'cd "$0" && exec "$@"', folder]
  const linker = [join(tools, 'ld.so'), '--library-path', join(tools, 'lib')]
  return [...inside, ...linker, join(tools, program), '--no-mon-config', '-c', 'ceph.conf', '-n', 'client.rgw'] // prettier-ignore
}

type Test = { teardown: (work: () => unknown) => void }

export async function startRadosgw(t: Test): Promise<S3Server> {
  const tools = await radosgw()
  const folder = folderFor(t)
  const port = await freePort()
  cpSync(join(tools, 'database'), folder, { recursive: true })
  writeFileSync(join(folder, 'ceph.conf'), settings(port))
  const [file, ...args] = [...withTest, ...command(tools, 'radosgw', folder)]
  const child = spawn(file, [...args, '-f'], { stdio: ['ignore', 'pipe', 'pipe'] })
  return answering(t, { child, port, credential, region: 'us-east-1', keepsConditions: false, keepsRanges: false }) // prettier-ignore
}

/** Its tables are named for the path of its folder, so all are relative to the working directory. */
function settings(port: number): string {
  return `[global]
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
[client]
rgw_backend_store = dbstore
rgw_config_store = dbstore
dbstore_db_dir = .
dbstore_config_uri = file:config.db
rgw_data = .
run_dir = .
crash_dir = .
admin_socket =
rgw_frontends = beast endpoint=127.0.0.1:${port}
log_to_stderr = true
err_to_stderr = true
rgw_enable_gc_threads = false
rgw_enable_lc_threads = false
rgw_run_sync_thread = false
rgw_thread_pool_size = 32
rgw_max_listing_results = 5
`
}
