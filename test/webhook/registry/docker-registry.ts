/** Debian's docker-registry, the reference implementation, on a free port of the loopback. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import { freePort, listens } from '../../free-port.ts'

export type RunningRegistry = {
  host: string
  folder: string
  requests: () => string[]
  stop: () => Promise<void>
}

export const user = { name: 'puller', password: 'correct horse' }
/** By bcrypt, the only form that the registry takes. */
const passwordFile = `${user.name}:$2b$05$reprieve.registry.te.uHF7AbFCXJA9otGKgZcHoUYCj6qSqZLm\n`

export type RegistryOptions = {
  auth?: 'password' | { realm: string; rootCertificate: string; issuer: string; service: string }
  tls?: { cert: string; key: string }
}

const startDeadlineMs = 20_000

export async function startRegistry(
  test: { teardown: (done: () => Promise<void>) => unknown },
  { auth, tls }: RegistryOptions = {},
): Promise<RunningRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'reprieve-registry-'))
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  const port = await freePort()
  const host = `127.0.0.1:${port}`
  const configuration = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: join(folder, 'storage') } },
    http: {
      addr: host,
      secret: 'only for this test',
      ...(tls === undefined
        ? {}
        : { tls: { certificate: await file('tls.crt', tls.cert), key: await file('tls.key', tls.key) } }),
    },
    ...(auth === undefined
      ? {}
      : auth === 'password'
        ? { auth: { htpasswd: { realm: 'tests', path: await file('htpasswd', passwordFile) } } }
        : {
            auth: {
              token: {
                realm: auth.realm,
                service: auth.service,
                issuer: auth.issuer,
                rootcertbundle: await file('roots.pem', auth.rootCertificate),
              },
            },
          }),
  }
  const child = spawn('docker-registry', ['serve', await file('config.yml', stringify(configuration))], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  let ended = false
  const exited = once(child, 'exit').then(() => (ended = true))
  const stop = async () => {
    child.kill('SIGKILL')
    await exited
    await rm(folder, { recursive: true, force: true })
  }
  test.teardown(stop)
  const until = performance.now() + startDeadlineMs
  const scheme = tls === undefined ? 'http' : 'https'
  while (!(await listens(port))) {
    if (ended || performance.now() > until) throw new Error(`no registry at ${scheme}://${host}: ${output}`)
    await sleep(50)
  }
  const requests = () =>
    [...output.matchAll(/"((?:GET|HEAD|POST|PUT|PATCH) [^ ]+) HTTP[^"]*" (\d+)/g)].map(
      ([, asked, status]) => `${asked} ${status}`,
    )
  return { host, folder, requests, stop }
}
