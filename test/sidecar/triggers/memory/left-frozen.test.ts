/** What an earlier life of the sidecar left frozen, with plain files for a cgroup. Its launcher is frozen with it, and says nothing. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { mark, thawAtTheEnd, thawLeftFrozen } from '../../../../sidecar/triggers/memory/left-frozen.ts'
import { quietLog as log } from '../../quiet-log.ts'
import { plainCgroup } from './plain-cgroup.ts'

/** A process that is there. */
const launcherPid = process.pid

const noMount = async () => Promise.reject(new Error('no mount'))

/** @param failures how often the cgroup cannot be mounted */
function leftFrozen(t: Test, { failures = 0, pid = launcherPid, folder = 'gone' }) {
  const of = plainCgroup(t)
  const frozenMark = of.file('frozen')
  of.set('cgroup.freeze', 1)
  writeFileSync(frozenMark, folder === '' ? String(pid) : `${pid} ${of.file(folder)}`)
  let tries = 0
  const open = async (pid: number) => {
    t.equal(pid, launcherPid)
    if (++tries <= failures) throw new Error('no mount')
    return of.cgroup
  }
  return {
    ...of,
    frozenMark,
    open,
    tries: () => tries,
    thaw: () => thawLeftFrozen({ frozenMark, open, log, retryMs: 1 }),
  }
}

t.test('it is let go, however often its cgroup cannot be mounted first', async (t) => {
  const of = leftFrozen(t, { failures: 5 })
  await of.thaw()
  t.equal(of.tries(), 6)
  t.equal(of.read('cgroup.freeze'), '0')
  t.notOk(existsSync(of.frozenMark))
})

t.test('by the mount that the earlier life left, where there is one', async (t) => {
  const of = leftFrozen(t, { folder: '.' })
  await of.thaw()
  t.equal(of.tries(), 0)
  t.equal(of.read('cgroup.freeze'), '0')
  t.notOk(existsSync(of.frozenMark))
})

t.test('and by a mark of an older version, which says only whose it is', async (t) => {
  const of = leftFrozen(t, { folder: '' })
  await of.thaw()
  t.equal(of.read('cgroup.freeze'), '0')
})

t.test('nothing is tried for what is gone, or not marked', async (t) => {
  const beyond = 4194305
  const of = leftFrozen(t, { pid: beyond })
  await thawLeftFrozen({ frozenMark: of.frozenMark, open: noMount, log, retryMs: 1 })
  t.notOk(existsSync(of.frozenMark))
  await of.thaw()
  t.equal(of.tries(), 0)
  t.equal(of.read('cgroup.freeze'), '1', 'somebody else may have frozen it')
})

t.test('what this life has frozen since is not taken for it', async (t) => {
  const of = leftFrozen(t, {})
  const open = async () => {
    await new Promise((resolve) => setTimeout(resolve, 20))
    mark(of.frozenMark, launcherPid, of.cgroup)
    return of.cgroup
  }
  await thawLeftFrozen({ frozenMark: of.frozenMark, open, log, retryMs: 1 })
  t.equal(of.read('cgroup.freeze'), '1')
  t.ok(existsSync(of.frozenMark))
})

t.test('a sidecar that ends lets go what it marked', async (t) => {
  const of = plainCgroup(t)
  const frozenMark = of.file('frozen')
  mark(frozenMark, launcherPid, of.cgroup)
  of.set('cgroup.freeze', 1)
  thawAtTheEnd({ frozenMark, log })
  t.equal(of.read('cgroup.freeze'), '0')
  t.notOk(existsSync(frozenMark))
  thawAtTheEnd({ frozenMark, log })
  mkdirSync(frozenMark)
  thawAtTheEnd({ frozenMark, log })
  t.pass('and hinders nobody where it cannot')
})
