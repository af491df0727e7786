import t from 'tap'
import { makeAuthority } from '../../certs/authority.ts'
import { certificatesIn } from '../../certs/certificate-set.ts'
import { Settling } from '../../certs/settling.ts'

const made = () => makeAuthority('a', { from: new Date(), days: 1 }).cert
const print = (cert: string) => certificatesIn(cert)[0]?.fingerprint256 ?? ''

t.test(
  'it counts from when the authority stands in every bundle, and begins anew when it was away',
  async (t) => {
    let now = 0
    const settling = new Settling(1000, () => now)
    const [old, fresh] = [made(), made()]
    settling.observe([old + fresh, old])
    now = 5000
    t.ok(settling.isSettled(print(old)))
    t.notOk(settling.isSettled(print(fresh)), 'not everywhere')
    settling.observe([fresh + old, fresh + old])
    now = 5999
    t.notOk(settling.isSettled(print(fresh)))
    now = 6000
    t.ok(settling.isSettled(print(fresh)))
    settling.observe([old, fresh + old])
    settling.observe([fresh + old, fresh + old])
    t.notOk(settling.isSettled(print(fresh)))
    t.ok(settling.isSettled(print(old)), 'which was there all the time')
  },
)

t.test('without any configuration there is nobody to wait for', async (t) => {
  const settling = new Settling(1000, () => 0)
  t.notOk(settling.isSettled('anything'), 'nothing was looked at yet')
  settling.observe([])
  t.ok(settling.isSettled('anything'))
})
