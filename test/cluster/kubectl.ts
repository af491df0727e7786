/** kubectl with deadlines, on the cluster that KUBECONFIG names. */
import { execFile, spawn } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

export type Kubectl = {
  (...args: string[]): Promise<string>
  apply(manifests: readonly object[]): Promise<string>
  json<T>(...args: string[]): Promise<T>
}

export function makeKubectl(deadlineMs: number): Kubectl {
  const call = async (...args: string[]): Promise<string> => {
    const { stdout } = await run('kubectl', args, {
      timeout: deadlineMs,
      maxBuffer: 64 << 20,
      encoding: 'utf8',
    })
    return stdout
  }
  return Object.assign(call, {
    apply: (manifests: readonly object[]) => feed(JSON.stringify(listOf(manifests)), deadlineMs),
    json: async <T>(...args: string[]) => JSON.parse(await call(...args, '--output=json')) as T,
  })
}

function listOf(items: readonly object[]): object {
  return { apiVersion: 'v1', kind: 'List', items }
}

const dryRunDeadlineMs = 60_000

/** With every field validated, unknown ones refused. @throws Error with what the API server says */
export function applyInDryRun(manifests: readonly object[], ...more: string[]): Promise<string> {
  const options = ['--dry-run=server', '--server-side', '--force-conflicts', '--validate=strict']
  return feed(JSON.stringify(listOf(manifests)), dryRunDeadlineMs, [...options, ...more])
}

function feed(input: string, deadlineMs: number, options: string[] = []): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('kubectl', ['apply', '--filename=-', ...options], {
      timeout: deadlineMs,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        said += chunk.toString('utf8')
      })
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0 ? resolve(said) : reject(new Error(`kubectl apply exited with ${code}: ${said}`)),
    )
    child.stdin.end(input)
  })
}

/** Calls `look` until it gives a value, for at most `deadlineMs`. @throws Error saying what was waited for, and what was seen last */
export async function until<T>(
  what: string,
  deadlineMs: number,
  look: () => Promise<T | undefined>,
): Promise<T> {
  let last: unknown
  for (
    const end = Date.now() + deadlineMs;
    Date.now() < end;
    await new Promise((resolve) => setTimeout(resolve, 500))
  ) {
    try {
      const value = await look()
      if (value !== undefined) return value
    } catch (error) {
      last = error
    }
  }
  throw new Error(`waited ${deadlineMs} ms in vain for ${what}`, { cause: last })
}
