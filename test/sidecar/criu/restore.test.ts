/** Whose a restored tree is once the launcher has adopted it. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

/** A supervisor whose CRIU takes a second to let go of the tree, and who ends when its standard input does. */
const supervisor = `#!/bin/sh
echo 'post-restore 1' >&3
read answer <&3
[ "$answer" = go ] || exit 1
read word
[ "$word" = adopted ] || exit 1
timeout 1 cat >/dev/null
[ $? = 124 ] || exit 1
echo 'post-resume 1' >&3
read answer <&3
`

t.test('neither the deadline nor an abort ends a tree that the launcher has adopted', async (t) => {
  mkdirSync('/reprieve', { recursive: true })
  const folder = t.testdir({})
  const standIn = join(folder, 'supervisor')
  writeFileSync(standIn, supervisor)
  chmodSync(standIn, 0o755)
  const mounted = `mount -t tmpfs none /reprieve && mkdir /reprieve/bin && cp "$1" /reprieve/bin/launcher && shift && exec "$@"`
  const restored = (answer: string) => {
    const argv = [standIn, process.execPath, join(import.meta.dirname, 'restoring.ts'), folder, answer]
    return spawnSync('unshare', ['--mount', 'sh', '-c', mounted, 'sh', ...argv], {
      encoding: 'utf8',
      timeout: 30_000,
    })
  }
  const gone = restored('go')
  t.equal(gone.status, 0, gone.stderr)
  const refused = restored('abort')
  t.match(refused.stderr, /CRIU did not restore the tree/, 'one that was not adopted is ended')
})
