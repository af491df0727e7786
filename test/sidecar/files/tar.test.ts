import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { must } from '../../../scripts/command.ts'
import { createArchive, createArguments } from '../../../sidecar/files/tar.ts'
import { quietLog as log } from '../quiet-log.ts'

/** An attribute of a device without power management answers a read with EIO (drivers/base/power/sysfs.c). */
const unreadable = '/sys/devices/software/power/autosuspend_delay_ms'

/** Archives the names with the machine's own tar; returns the names in the archive. */
async function archived(t: Test, folder: string, names: string[]): Promise<string[]> {
  const list = join(folder, 'list')
  await writeFile(list, names.map((name) => `${name}\0`).join(''))
  const [input, output] = [await open(list, 'r'), await open(join(folder, 'tar'), 'w')]
  t.teardown(() => Promise.all([input.close(), output.close()]))
  // A file without blocks, as sysfs has them, is all hole to tar: with --sparse it would not even try to read one.
  const own = createArguments({ recursion: false }).filter((argument) => argument !== '--sparse')
  const argv = ['tar', ...own.slice(own.indexOf('--create'))]
  await createArchive(argv, { log, deadlineMs: 20_000, stdio: ['ignore', output.fd, 'pipe', input.fd] })
  return (await must(['tar', '--list', '--absolute-names', '--file', join(folder, 'tar')])).trim().split('\n')
}

t.test('a name that has gone is left out', async (t) => {
  const folder = t.testdir({ here: 'x' })
  const here = join(folder, 'here')
  const names = [here, join(folder, 'gone'), join(folder, 'Cannot open: x'), join(here, 'below a file')]
  t.same(await archived(t, folder, names), [here])
})

t.test('so is a name in a folder that has become a file', async (t) => {
  const folder = t.testdir({ here: 'x' })
  const here = join(folder, 'here')
  t.same(await archived(t, folder, [here, join(here, 'in')]), [here])
})

t.test('a file that cannot be read is no file of zeros, but the end of the archive', async (t) => {
  const folder = t.testdir({ here: 'x' })
  const many = Array.from({ length: 3_000 }, (_, index) => join(folder, `gone-${index}-${'x'.repeat(60)}`))
  await t.rejects(archived(t, folder, [unreadable, ...many, join(folder, 'here')]), {
    code: 'archive-failed',
    message: /autosuspend_delay_ms: Warning: Read error at byte 0.*Input\/output error/,
  })
})
