import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { makeAuthority, makeLeaf } from '../../certs/authority.ts'
import { bundleOf, certificatesIn, readSet, type CertificateSet } from '../../certs/certificate-set.ts'
import { mostAuthorities, nextStep, type Step } from '../../certs/rotation.ts'
import { dayMs, isTrusted, quickTerms } from './cluster-stage.ts'

const start = new Date('2026-01-01T00:00:00Z')
const on = (day: number) => new Date(start.getTime() + day * dayMs)
const termsFor = (dnsNames: string[]) => ({ ...quickTerms, dnsNames })

/** What is there, and steps carried out in it. */
class World {
  set: CertificateSet | undefined
  /** Two entries. */
  published = ['', '']
  settled = true
  names = ['webhook.svc']

  next(day: number): Step {
    const seen = { set: this.set, published: this.published, now: on(day), isSettled: () => this.settled }
    return nextStep(seen, termsFor(this.names))
  }

  /** Until there is nothing to do; what was done. */
  rest(day: number): string[] {
    const did: string[] = []
    for (;;) {
      const step = this.next(day)
      if (step.do === 'nothing' || step.do === 'settle') return did
      did.push(step.do === 'write' ? step.why : step.do)
      if (step.do === 'write') this.set = step.set
      else this.published = this.published.map(() => step.caBundle)
      if (did.length > 12) throw new Error(`it does not come to rest: ${did.join(', ')}`)
    }
  }

  get there(): CertificateSet {
    if (this.set === undefined) throw new Error('there is no Secret')
    return this.set
  }

  isServable(day: number): boolean {
    return this.published.every((bundle) => isTrusted(this.there.cert, bundle, on(day)))
  }
}

function begun(): World {
  const world = new World()
  world.rest(0)
  return world
}

t.test('nothing is there: all is made at once, and published', async (t) => {
  const world = new World()
  t.same(world.rest(0), ['made', 'publish'])
  t.ok(world.isServable(0))
  t.equal(certificatesIn(world.there.caBundle).length, 1)
})

t.test('all is well: nothing is done', async (t) => {
  const world = begun()
  for (const day of [0, 1, 59]) t.same(world.next(day), { do: 'nothing' })
})

t.test('a leaf is renewed when a third of its life is left, by the same authority', async (t) => {
  const world = begun()
  const { cert, caBundle } = world.there
  t.same(world.rest(61), ['leaf'])
  t.not(world.there.cert, cert)
  t.equal(world.there.caBundle, caBundle)
  t.ok(world.isServable(61))
})

t.test('a leaf that lacks a name is made anew', async (t) => {
  const world = begun()
  world.names = ['webhook.svc', 'more.svc']
  t.same(world.rest(1), ['leaf'])
  t.equal(new X509Certificate(world.there.cert).checkHost('more.svc'), 'more.svc')
})

t.test(
  'a new authority is published beside the old one, waited for, used, and the old one dropped',
  async (t) => {
    const world = begun()
    world.rest(180)
    const old = world.there
    world.settled = false
    t.same(world.rest(201), ['authority', 'publish'], 'and no leaf yet')
    t.equal(world.there.cert, old.cert, 'the old leaf is served on')
    t.equal(certificatesIn(world.published[0] ?? '').length, 2)
    t.ok(world.isServable(201))
    t.same(world.next(202), { do: 'settle' })
    world.settled = true
    t.same(world.rest(202), ['leaf'])
    t.ok(world.isServable(202), 'the new leaf is trusted before it is there')
    t.notOk(isTrusted(world.there.cert, old.caBundle, on(202)), 'it is of the new authority')
    t.same(world.rest(259), [], 'as long as an old leaf may be served')
    t.same(world.rest(269.9), ['leaf'], 'the old leaf has hours to live')
    t.ok(world.published.every((bundle) => isTrusted(old.cert, bundle, on(269.9))))
    t.same(world.rest(271), ['publish', 'dropped'])
    t.equal(certificatesIn(world.published[0] ?? '').length, 1)
    t.ok(world.isServable(271))
  },
)

t.test('an authority is dropped from the caBundles before it leaves the Secret', async (t) => {
  const world = begun()
  world.rest(180)
  world.rest(201)
  const first = world.next(271)
  t.equal(first.do, 'publish')
  t.same(world.next(271), first, 'a crash in between changes nothing')
})

t.test(
  'the served leaf is trusted whenever a pass runs within three years, and old authorities go',
  async (t) => {
    const world = begun()
    for (let day = 0; day < 1200; day += 11) {
      const leafBefore = world.there.cert
      world.rest(day)
      t.ok(world.isServable(day), `day ${day}`)
      t.ok(
        world.published.every((bundle) => isTrusted(leafBefore, bundle, on(day))),
        `day ${day}: the leaf before`,
      )
      t.ok(certificatesIn(world.there.caBundle).length <= 2, `day ${day}: at most two authorities`)
    }
  },
)

t.test('a set that has expired since the last pass is made anew at once', async (t) => {
  const world = begun()
  world.settled = false
  t.same(world.rest(5000), ['made', 'publish'])
  t.ok(world.isServable(5000))
})

t.test('an expired leaf of a good authority is replaced at once', async (t) => {
  const world = begun()
  world.settled = false
  t.same(world.rest(95), ['leaf'])
})

t.test(
  'a Secret that was deleted: the authority that is trusted stays, since its leaf is served',
  async (t) => {
    const world = begun()
    const served = world.there.cert
    world.set = undefined
    world.settled = false
    t.same(world.rest(1), ['authority', 'publish'])
    t.equal(world.there.cert, '', 'no leaf, until its authority has been published for long enough')
    t.ok(world.published.every((bundle) => isTrusted(served, bundle, on(1))))
    world.settled = true
    t.same(world.rest(1), ['leaf'])
    t.ok(world.isServable(1))
    t.ok(world.published.every((bundle) => isTrusted(served, bundle, on(1))))
    t.same(
      world.rest(92),
      ['publish', 'leaf', 'dropped'].slice(0, 2),
      'dropped when no leaf of it can be alive',
    )
    t.equal(certificatesIn(world.published[0] ?? '').length, 1)
  },
)

const garbage: Record<string, (set: CertificateSet, other: CertificateSet) => Partial<CertificateSet>> = {
  'no leaf': () => ({ cert: '' }),
  'a leaf that is none': () => ({ cert: 'nonsense' }),
  'a key that is none': () => ({ key: 'nonsense' }),
  "another leaf's key": (_set, other) => ({ key: other.key }),
  'a leaf of another authority': (_set, { cert, key }) => ({ cert, key }),
  'no authority': () => ({ caBundle: '' }),
  'authorities that are none': () => ({ caBundle: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' }), // prettier-ignore
  "another authority's key": (_set, other) => ({ caKey: other.caKey }),
  'an authority’s key that is none': () => ({ caKey: 'nonsense' }),
  'the leaf for an authority': ({ cert, key }) => ({ caBundle: cert, caKey: key }),
  'everything of another': (_set, other) => other,
  'nothing but nonsense': () => ({ caBundle: '\0', caKey: '\0', cert: '\0', key: '\0', leaves: '\0' }),
  'no ledger': () => ({ leaves: '' }),
  'a ledger that is none': () => ({ leaves: '[1, {"a": null}, "2026"]' }),
  'a ledger of long ago': ({ leaves }) => ({ leaves: leaves.replaceAll('2026', '1999') }),
}
for (const [what, damage] of Object.entries(garbage))
  t.test(`a Secret with ${what} is mended, and what is served stays trusted meanwhile`, async (t) => {
    const world = begun()
    const served = world.there.cert
    const other = begun().there
    world.set = { ...world.there, ...damage(world.there, other) }
    world.settled = false
    const staysTrusted = () => world.published.every((bundle) => isTrusted(served, bundle, on(1)))
    world.rest(1)
    t.ok(staysTrusted())
    world.settled = true
    world.rest(1)
    t.ok(staysTrusted())
    t.ok(world.isServable(1))
    t.same(world.next(1), { do: 'nothing' })
    const { issuer, leaf, leavesUntil } = readSet(world.there)
    t.ok(issuer && leaf && leavesUntil.size > 0)
    world.rest(95)
    t.equal(certificatesIn(world.published[0] ?? '').length, 1, 'and later only one authority is left')
  })

t.test('an old authority stays while the Secret has a leaf of it, whatever the ledger says', async (t) => {
  const world = begun()
  world.rest(170)
  world.settled = false
  world.rest(201)
  world.set = { ...world.there, leaves: world.there.leaves.replaceAll('2026', '1999') }
  t.same(world.rest(201), [])
  t.ok(world.isServable(201))
})

t.test('a Secret restored from a backup: what has been served since stays trusted', async (t) => {
  const world = begun()
  const backup = world.there
  world.rest(180)
  world.rest(201)
  world.rest(271)
  const served = world.there.cert
  world.set = backup
  world.settled = false
  world.rest(272)
  t.ok(world.published.every((bundle) => isTrusted(served, bundle, on(272))))
  world.settled = true
  world.rest(272)
  t.ok(world.published.every((bundle) => isTrusted(served, bundle, on(272))))
  t.ok(world.isServable(272), 'and so is what is served from now on')
})

t.test('a caBundle that was wiped or overwritten is published again', async (t) => {
  const world = begun()
  const [bundle = ''] = world.published
  world.published = [bundle, '']
  t.same(world.rest(1), ['publish'])
  world.published = [bundle, `nonsense\n${bundle}`]
  t.same(world.rest(1), ['publish'])
  t.same(world.published, [bundle, bundle])
})

t.test('nobody is to be told where there is no configuration', async (t) => {
  const world = new World()
  world.published = []
  t.same(world.rest(0), ['made'])
  world.rest(180)
  t.same(world.rest(201), ['authority', 'leaf'])
})

t.test('authorities that somebody makes again and again are bounded', async (t) => {
  const world = begun()
  for (let time = 0; time < mostAuthorities + 3; time++) {
    world.set = undefined
    world.rest(1)
    t.ok(world.isServable(1))
    t.ok(certificatesIn(world.published[0] ?? '').length <= mostAuthorities)
  }
})

t.test('a clock that was ahead when a certificate was made: it is not used before its time', async (t) => {
  const world = new World()
  world.rest(30)
  t.notSame(world.next(0), { do: 'nothing' })
  world.rest(0)
  t.ok(world.isServable(0))
})

t.test('bundles are read block by block, each certificate once', async (t) => {
  const { cert } = makeAuthority('a', { from: start, days: 1 })
  const leaf = makeLeaf(makeAuthority('b', { from: start, days: 1 }), ['x'], { from: start, days: 1 })
  const bad = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  const found = certificatesIn(`${cert}# a remark\n${bad}${leaf.cert}${cert}`)
  t.equal(found.length, 2)
  t.equal(bundleOf(found), cert + leaf.cert)
})

t.test('a leaf never outlives its authority', async (t) => {
  const authority = makeAuthority('a', { from: start, days: 10 })
  const leaf = makeLeaf(authority, ['x'], { from: start, days: 20 })
  t.same(new X509Certificate(leaf.cert).validToDate, new X509Certificate(authority.cert).validToDate)
})
