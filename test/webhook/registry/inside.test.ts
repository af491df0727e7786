import type { LookupAddress } from 'node:dns'
import t from 'tap'
import { isIn, isInside, rangesIn } from '../../../webhook/registry/inside.ts'
import { guardedLookup, permitted } from '../../../webhook/registry/permitted-url.ts'

const inside = [
  '10.0.0.1', '10.96.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', '100.100.100.200', '127.0.0.1', '127.9.9.9',
  '0.0.0.0', '169.254.169.254', '168.63.129.16', '34.118.224.1', '192.0.2.1', '198.18.0.1', '224.0.0.1', '255.255.255.255',
  '::', '::1', '::127.0.0.1', '::ffff:10.0.0.1', '::ffff:a00:1', '::ffff:127.0.0.1', '64:ff9b::10.0.0.1', '64:ff9b::a00:1', '64:ff9b::7f00:1',
  '64:ff9b::', '64:ff9b:1::808:808', 'fc00::1', 'fd00:ec2::254', 'fd12:3456::1', 'fe80::1', 'fec0::1', 'ff02::1', '2002:a00:1::1', '2001:0:1::1',
] // prettier-ignore
const outside = [
  '8.8.8.8', '172.15.255.255', '172.32.0.1', '100.63.0.1', '100.128.0.1', '34.118.240.1', '192.169.0.1', '223.255.255.255',
  '2606:4700::1111', '64:ff9b::808:808', '::ffff:8.8.8.8', '2001:4860:4860::8888',
] // prettier-ignore

t.test(
  'private, loopback, link-local and Service addresses are inside, however they are written',
  async (t) => {
    for (const address of inside) t.ok(isInside(address), address)
    for (const address of outside) t.notOk(isInside(address), address)
  },
)

t.test('ranges and addresses are read as they are named, and hosts are passed over', async (t) => {
  const list = rangesIn([
    '10.1.0.0/16',
    'fd00::/8',
    '192.168.7.7',
    'registry.corp:5000',
    '10.0.0.0/99',
    '1.2.3.4/8/8',
  ])
  for (const address of ['10.1.2.3', '192.168.7.7', 'fd12::1', '64:ff9b::a01:203', '::ffff:10.1.2.3'])
    t.ok(isIn(list, address), address)
  for (const address of ['10.2.0.1', '192.168.7.8', 'fc00::1', '1.2.3.4'])
    t.notOk(isIn(list, address), address)
})

/** As a connection asks. */
function addressesOf(hostname: string, answers: string[][], ranges: string[] = [], asked: string[] = []) {
  const look = guardedLookup(rangesIn(ranges), (name, _options, done) => {
    asked.push(name)
    done(
      null,
      (answers.shift() ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  })
  const once = () => {
    const { promise, resolve, reject } = Promise.withResolvers<string[]>()
    look(hostname, { all: true }, (error, found) => {
      if (error === null) resolve((found as LookupAddress[]).map(({ address }) => address))
      else reject(error)
    })
    return promise
  }
  return once
}

const refused = { code: 'registry-failed', message: /inside/, data: { fault: 'elsewhere' } }

t.test(
  'each connection looks at the addresses that it is made to: a name that moves inside is refused',
  async (t) => {
    const look = addressesOf('rebinding.example', [['8.8.8.8'], ['10.0.0.1'], ['8.8.8.8', '10.0.0.1', '::1']])
    t.same(await look(), ['8.8.8.8'])
    await t.rejects(look(), refused)
    t.same(await look(), ['8.8.8.8'], 'of several the ones outside are taken')
  },
)

t.test('the administrator opens a range, and no more', async (t) => {
  const look = addressesOf('registry.corp', [['10.1.2.3'], ['10.2.2.3']], ['10.1.0.0/16'])
  t.same(await look(), ['10.1.2.3'])
  await t.rejects(look(), refused)
})

t.test('a name is taken as a whole, and not as the name of a Service', async (t) => {
  const asked: string[] = []
  const answers = Array.from({ length: 2 }, () => ['8.8.8.8'])
  await addressesOf('registry.team-a', answers, [], asked)()
  await addressesOf('registry.team-a.', answers, [], asked)()
  t.same(asked, ['registry.team-a.', 'registry.team-a.'])
})

t.test('an address in a URL is judged likewise, and one that is named is let through', async (t) => {
  const trust = { plainHttp: [], named: ['10.9.9.9:5000'], ranges: rangesIn(['10.1.0.0/16']) }
  for (const host of ['10.0.0.1', '[fd00::1]', '[::ffff:10.0.0.1]', '0x0a000001', '10.9.9.9'])
    t.throws(() => permitted(new URL(`https://${host}/v2/`), trust), refused, host)
  for (const host of ['10.1.0.1', '10.9.9.9:5000', '8.8.8.8'])
    t.doesNotThrow(() => permitted(new URL(`https://${host}/v2/`), trust), host)
})
