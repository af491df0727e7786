/** What an earlier life of the sidecar left frozen, with plain files for a cgroup. Its launcher is frozen with it, and says nothing. */
import { existsSync, utimesSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { recordOf, thawLeftFrozen } from '../../../../sidecar/triggers/memory/left-frozen.ts'
import { quietLog as log } from '../../quiet-log.ts'
import { plainCgroup } from './plain-cgroup.ts'

/** A process that is there, and a number beyond any process's. */
const [launcherPid, nobody] = [process.pid, 4194305]

/** @param failures how often the cgroup cannot be mounted */
function leftFrozen(t: Test, { failures = 0, pid = launcherPid, mounted = 'gone' }) {
  const of = plainCgroup(t)
  const record = recordOf(of.folder, pid)
  of.set('cgroup.freeze', 1)
  writeFileSync(record, `max 100\n${of.file(mounted)}`)
  let tries = 0
  const open = async (pid: number) => {
    t.equal(pid, launcherPid)
    if (++tries <= failures) throw new Error('no mount')
    return of.cgroup
  }
  return {
    ...of,
    record,
    tries: () => tries,
    thaw: (opened = open) => thawLeftFrozen({ folder: of.folder, open: opened, log, retryMs: 1 }),
  }
}

t.test('it is released, however often its cgroup cannot be mounted first', async (t) => {
  const of = leftFrozen(t, { failures: 5 })
  await of.thaw()
  t.equal(of.tries(), 6)
  t.equal(of.read('cgroup.freeze'), '0')
  t.ok(existsSync(of.record), 'the record of the throttle that stands')
})

t.test('by the mount that the earlier life left, where there is one', async (t) => {
  const of = leftFrozen(t, { mounted: '.' })
  await of.thaw()
  t.equal(of.tries(), 0)
  t.equal(of.read('cgroup.freeze'), '0')
})

t.test('nothing is tried for what is gone, or was never watched', async (t) => {
  const of = leftFrozen(t, { pid: nobody })
  const earlier = recordOf(of.folder, launcherPid).replace('@', '@1')
  for (const file of [earlier, of.file('another')]) writeFileSync(file, `max 100\n${of.folder}`)
  await of.thaw()
  t.equal(of.tries(), 0)
  t.equal(of.read('cgroup.freeze'), '1')
  for (const record of [of.record, earlier]) t.notOk(existsSync(record), record)
  await thawLeftFrozen({ folder: of.file('none'), open: async () => of.cgroup, log })
})

t.test('what this life has frozen since is not taken for it', async (t) => {
  const of = leftFrozen(t, {})
  await of.thaw(async () => {
    utimesSync(of.record, new Date(0), new Date(0))
    return of.cgroup
  })
  t.equal(of.read('cgroup.freeze'), '1')
  t.ok(existsSync(of.record))
})
