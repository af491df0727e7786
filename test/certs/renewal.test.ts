import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { certificatesIn, renew, type CertificateSet } from '../../certs/renewal.ts'

const dayMs = 86_400_000
const start = new Date('2026-01-01T00:00:00Z')
const terms = (day: number, dnsNames = ['webhook.svc']) => ({
  dnsNames,
  now: new Date(start.getTime() + day * dayMs),
  caDays: 300,
  leafDays: 90,
})
/** A leaf is good if some authority of the bundle signed it. */
const isTrusted = (set: CertificateSet, bundle = set.caBundle) =>
  certificatesIn(bundle).some((authority) => new X509Certificate(set.cert).verify(authority.publicKey))

t.test('nothing is there: everything is made', async (t) => {
  const { set, changed } = renew(undefined, terms(0))
  t.same(changed, ['authority', 'leaf', 'bundle'])
  t.ok(isTrusted(set))
  t.equal(certificatesIn(set.caBundle).length, 1)
})

t.test('all is well: nothing is changed', async (t) => {
  const { set } = renew(undefined, terms(0))
  t.same(renew(set, terms(1)), { set, changed: [] })
  t.same(renew(set, terms(59)).changed, [])
})

t.test('a leaf is renewed when a third of its life is left, by the same authority', async (t) => {
  const { set } = renew(undefined, terms(0))
  const later = renew(set, terms(61))
  t.same(later.changed, ['leaf'])
  t.equal(later.set.caBundle, set.caBundle)
  t.not(later.set.cert, set.cert)
  t.ok(isTrusted(later.set))
})

t.test('a leaf that lacks a name is made anew', async (t) => {
  const { set } = renew(undefined, terms(0))
  t.same(renew(set, terms(1, ['webhook.svc', 'more.svc'])).changed, ['leaf'])
})

t.test('a new authority first only joins the bundle; the leaf follows in a later pass', async (t) => {
  const first = renew(undefined, terms(0)).set
  const old = renew(first, terms(190)).set
  const joined = renew(old, terms(201))
  t.same(joined.changed, ['authority', 'bundle'])
  t.equal(joined.set.cert, old.cert, 'the leaf is the old one')
  t.equal(certificatesIn(joined.set.caBundle).length, 2)
  t.ok(isTrusted(joined.set))
  const followed = renew(joined.set, terms(201))
  t.same(followed.changed, ['leaf'])
  t.equal(followed.set.caBundle, joined.set.caBundle, 'the old authority is still trusted')
  t.ok(isTrusted(followed.set))
  t.notOk(isTrusted(followed.set, first.caBundle), 'the new leaf is of the new authority')
  t.same(renew(followed.set, terms(202)).changed, [])
})

t.test('an authority that has expired leaves the bundle', async (t) => {
  const first = renew(undefined, terms(0)).set
  const joined = renew(renew(first, terms(190)).set, terms(201)).set
  const followed = renew(joined, terms(201)).set
  const after = renew(followed, terms(301))
  t.ok(after.changed.includes('bundle'))
  t.equal(certificatesIn(after.set.caBundle).length, 1)
  t.ok(isTrusted(after.set))
})

t.test(
  'whatever day it is looked at, in whatever order, the leaf served is trusted by the bundle before',
  async (t) => {
    let set = renew(undefined, terms(0)).set
    for (let day = 0; day < 900; day += 7) {
      const bundleBefore = set.caBundle
      set = renew(set, terms(day)).set
      t.ok(isTrusted(set, bundleBefore), `day ${day}`)
      const leaf = new X509Certificate(set.cert)
      t.ok(leaf.validToDate > terms(day).now, `day ${day}: not expired`)
    }
  },
)

t.test('a set that is damaged, expired, or of keys that do not fit is made anew', async (t) => {
  const { set } = renew(undefined, terms(0))
  const other = renew(undefined, terms(0)).set
  const damaged: CertificateSet[] = [
    { ...set, cert: '' },
    { ...set, caBundle: 'nonsense' },
    { ...set, caKey: other.caKey },
    { ...set, key: other.key },
    { ...set, key: 'nonsense' },
  ]
  for (const one of damaged) t.same(renew(one, terms(1)).changed, ['authority', 'leaf', 'bundle'])
  t.same(renew(set, terms(400)).changed, ['authority', 'leaf', 'bundle'], 'expired')
})

t.test('a leaf of another authority is replaced', async (t) => {
  const { set } = renew(undefined, terms(0))
  const { cert, key } = renew(undefined, terms(0)).set
  const { set: mended, changed } = renew({ ...set, cert, key }, terms(1))
  t.same(changed, ['leaf'])
  t.ok(isTrusted(mended))
})
