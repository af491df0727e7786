import { execFileSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import t from 'tap'
import { requireProgramFiles } from '../../../sidecar/criu/memory-programs.ts'
import { program } from '../stand-ins.ts'

const script = `import os
d = os.memfd_create('made')
os.write(d, open('/bin/sleep', 'rb').read())
os.execve(f'/proc/self/fd/{d}', ['sleep', '100'], {})`

t.test('a tree in which a program runs from memory is refused by name, and another is not', async (t) => {
  await t.resolves(requireProgramFiles(process.pid))
  const python = execFileSync('sh', ['-c', 'command -v python3'], { encoding: 'utf8' }).trim()
  const { pid } = await program(t, [python, '-c', script], (pid) =>
    readlinkSync(`/proc/${pid}/exe`).startsWith('/memfd:'),
  )
  await t.rejects(requireProgramFiles(pid), {
    code: 'dump-failed',
    message: new RegExp(`memfd.*process ${pid} runs /memfd:made`),
    data: { obstacle: 'runs-from-memory' },
  })
})
