/**
 * The guest's side of test/vm/machine.ts: runs commands that it is asked for by lines on a virtio port, one after the other,
 * and sends back what they write and how they end. It ends when the port's other side is closed, or dies.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createReadStream, openSync, readFileSync, readdirSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { createInterface } from 'node:readline'
import { StringDecoder } from 'node:string_decoder'
import { encode, parseRequest, portName, type Report, type Request } from '../frames.ts'

const device = readdirSync('/sys/class/virtio-ports').find(
  (port) => readFileSync(`/sys/class/virtio-ports/${port}/name`, 'utf8').trim() === portName,
)
if (device === undefined) throw new Error(`no virtio port is named ${portName}`)
const port = openSync(`/dev/${device}`, 'r+')

function report(message: Report): void {
  const bytes = Buffer.from(encode(message))
  for (let at = 0; at < bytes.length;) at += writeSync(port, bytes, at)
}

function tell(text: string): void {
  report({ kind: 'output', stream: 'stderr', text })
}

function kernelTail(): string {
  return spawnSync('dmesg', { encoding: 'utf8' }).stdout.split('\n').slice(-20).join('\n')
}

/** In a process group of its own, which is ended as a whole at the deadline. */
function run(request: Request): Promise<void> {
  const [file = '', ...args] = request.argv
  return new Promise((resolve) => {
    const startedMs = performance.now()
    const child = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, ...request.environment },
    })
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, request.deadlineMs)
    for (const stream of ['stdout', 'stderr'] as const) {
      const decoder = new StringDecoder('utf8')
      child[stream].on('data', (bytes: Buffer) => {
        const text = decoder.write(bytes)
        if (text !== '') report({ kind: 'output', stream, text })
      })
    }
    child.on('error', (error) => tell(`${String(error)}\n`))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      // Which signal it was, and what the kernel said of it, is all that is ever known of a death that no test foresaw.
      if (signal !== null && !timedOut)
        tell(`${file} was ended by ${signal}; the kernel's last words:\n${kernelTail()}\n`)
      report({
        kind: 'ended',
        code: code ?? 128 + constants.signals[signal ?? 'SIGKILL'],
        timedOut,
        wallMs: Math.round(performance.now() - startedMs),
      })
      resolve()
    })
  })
}

report({ kind: 'ready', kernel: readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim() })
for await (const line of createInterface({ input: createReadStream('', { fd: port, autoClose: false }) })) {
  await run(parseRequest(line))
}
