/**
 * Debian's moto_server, an independent implementation of S3 and STS in Python, made for tests. It honours `If-None-Match`, and looks
 * neither at signatures nor at Content-MD5: in each of the three the opposite of the other server here (radosgw.ts).
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cached, hashOf } from '../../../scripts/cache.ts'
import { baseSuite, preparedByScript } from '../../../scripts/rootfs.ts'
import { freePort } from '../../free-port.ts'
import { answering, withTest, type S3Server } from './s3-server.ts'

const setup = join(import.meta.dirname, 'moto.sh')

/** A system with it. */
export function moto(): Promise<string> {
  const recipe = hashOf('moto 1', baseSuite, readFileSync(setup))
  return cached('tools', 'moto', recipe, (draft) => preparedByScript(draft, setup))
}

/** In a mount namespace of its own: nothing that it writes comes into the cached system. */
const script = `
mount -t tmpfs tmpfs "$1/tmp"
exec chroot "$1" /usr/bin/python3 -c 'import sys; from moto.server import main; main(sys.argv[1:])' -H 127.0.0.1 -p "$2"
`

type Test = { teardown: (work: () => unknown) => void }

export async function startMoto(t: Test): Promise<S3Server> {
  const port = await freePort()
  const [file, ...args] = withTest
  const child = spawn(
    file,
    [...args, 'unshare', '--mount', 'sh', '-euc', script, 'sh', await moto(), String(port)],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: '1' },
    },
  )
  const credential = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'not looked at' }
  return answering(t, {
    child,
    port,
    credential,
    region: 'us-east-1',
    keepsConditions: true,
    keepsRanges: true,
  })
}
