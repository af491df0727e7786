import { mkdirSync, symlinkSync } from 'node:fs'
import t from 'tap'
import { resolvePath } from '../../../sidecar/files/resolve-path.ts'

t.test('links are followed inside the other root, wherever they point', async (t) => {
  const root = t.testdir({ run: { x: {} }, data: {} })
  mkdirSync(`${root}/var/lib`, { recursive: true })
  symlinkSync('/run', `${root}/var/run`)
  symlinkSync('../../../../../../data', `${root}/var/lib/up`)
  symlinkSync('loop', `${root}/loop`)
  for (const [path, leads] of [
    ['/var/run/x', '/run/x'],
    ['/var/run/x/', '/run/x'],
    ['/var/lib/up/y', '/data/y'],
    ['/not/there', '/not/there'],
    ['/', '/'],
    ['/loop/x', '/loop/x'],
  ] as const)
    t.equal(await resolvePath(root, path), leads, path)
})
