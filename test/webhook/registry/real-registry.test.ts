/** Against Debian's docker-registry, the reference implementation of the protocol. */
import t, { type Test } from 'tap'
import { until } from '../../until.ts'
import { makeAuthority, makeLeaf } from '../../../certs/authority.ts'
import { startRegistry, user, type RunningRegistry } from './docker-registry.ts'
import { lookUp, password } from './looking-up.ts'
import { pushImage, pushManifest, sampleImage, sampleIndex } from './oci-image.ts'
import { refreshToken, startTokenServer } from './token-server.ts'

const validity = { from: new Date(), days: 1 }
const serve = { Entrypoint: ['/bin/serve', '--port=$(PORT)'], Cmd: ['--quick'] }
const known = { known: true, command: { entrypoint: serve.Entrypoint, cmd: serve.Cmd } }
const basic = `Basic ${Buffer.from(`${user.name}:${user.password}`).toString('base64')}`
const manifestsAsked = ({ requests }: RunningRegistry) =>
  requests().filter((line) => /^(GET|HEAD) \S*\/manifests\//.test(line))

async function open(t: Test) {
  const registry = await startRegistry(t)
  const base = `http://${registry.host}/v2/team/app`
  return { registry, base, image: `${registry.host}/team/app`, plainHttp: [registry.host] }
}

t.test('an image is found by tag, by digest, and by the tag that goes without saying', async (t) => {
  const { base, image, plainHttp } = await open(t)
  const sample = sampleImage(serve)
  await pushImage(base, sample, 'latest')
  await pushImage(base, sample, '1.0')
  const { find } = lookUp({ plainHttp })
  for (const name of [
    image,
    `${image}:1.0`,
    `${image}@${sample.manifest.digest}`,
    `${image}:9@${sample.manifest.digest}`,
  ])
    t.same(await find(name), known, name)
  t.match(await find(`${image}:2.0`), {
    known: false,
    why: /answers 404 MANIFEST_UNKNOWN: it has no such image/,
  })
})

t.test('both families of media types are read, and what a list of words leaves out is empty', async (t) => {
  const { base, image, plainHttp } = await open(t)
  await pushImage(base, sampleImage({ Cmd: ['sh'] }, { docker: true }), 'docker')
  await pushImage(base, sampleImage({ Entrypoint: ['/a'], Cmd: null }), 'oci')
  const { find } = lookUp({ plainHttp })
  t.same(await find(`${image}:docker`), { known: true, command: { entrypoint: [], cmd: ['sh'] } })
  t.same(await find(`${image}:oci`), { known: true, command: { entrypoint: ['/a'], cmd: [] } })
})

t.test("of an index the image of the node's architecture is taken", async (t) => {
  const { base, image, plainHttp } = await open(t)
  for (const docker of [false, true]) {
    const images = ['arm64', 'amd64', 's390x'].map((architecture) => ({
      sample: sampleImage({ Entrypoint: [`/for-${architecture}`] }, { architecture, docker }),
      platform: { os: 'linux', architecture },
    }))
    for (const { sample } of images) await pushImage(base, sample, sample.manifest.digest)
    const index = sampleIndex(
      images.map(({ sample, platform }) => ({ image: sample.manifest, platform })),
      docker,
    )
    await pushManifest(base, index, `many-${docker}`)
    const { find } = lookUp({ plainHttp })
    for (const architecture of ['amd64', 'arm64', 's390x'])
      t.match(await find(`${image}:many-${docker}`, [], architecture), {
        command: { entrypoint: [`/for-${architecture}`] },
      })
    t.match(await find(`${image}:many-${docker}`, [], 'riscv64'), {
      known: false,
      why: 'it has no image for linux/riscv64',
    })
  }
})

t.test('a password is asked for, and given only where it belongs', async (t) => {
  const registry = await startRegistry(t, { auth: 'password' })
  const image = `${registry.host}/team/app:1`
  await pushImage(`http://${registry.host}/v2/team/app`, sampleImage(serve), '1', { authorization: basic })
  const plainHttp = [registry.host]
  t.match(await lookUp({ plainHttp }).find(image), {
    known: false,
    why: /answers 401.*: it wants other credentials/,
  })
  const right = password(registry.host, user.name, user.password)
  t.same(await lookUp({ plainHttp }).find(image, [right]), known)
  t.match(await lookUp({ plainHttp }).find(image, [password('other.example', user.name, user.password)]), {
    known: false,
  })
  t.same(
    await lookUp({ plainHttp }).find(image, [password(`${registry.host}/team`, 'gone', 'old'), right]),
    known,
    'the next credentials are tried when the first are refused',
  )
})

t.test('a token is fetched for the repository, with a password or with an identity token', async (t) => {
  const tokens = await startTokenServer(t)
  const registry = await startRegistry(t, { auth: tokens.auth })
  const image = `${registry.host}/team/app:1`
  const plainHttp = [registry.host, tokens.host]
  const scope = 'repository:team/app:pull'
  const asAdmin = async () => {
    const url = `http://${tokens.host}/token?service=x&scope=repository:team/app:pull,push`
    const { token } = (await (await fetch(url, { headers: { authorization: basic } })).json()) as {
      token: string
    }
    return { authorization: `Bearer ${token}` }
  }
  await pushImage(`http://${registry.host}/v2/team/app`, sampleImage(serve), '1', await asAdmin())
  tokens.asked.length = 0
  t.match(await lookUp({ plainHttp }).find(image), { known: false, why: /token server .* answers 401/ })
  t.same(await lookUp({ plainHttp }).find(image, [password(registry.host, user.name, user.password)]), known)
  const identity = { place: registry.host, credential: { kind: 'identity' as const, token: refreshToken } }
  t.same(await lookUp({ plainHttp }).find(image, [identity]), known)
  t.same(tokens.asked, [
    `GET ${tokens.auth.service} ${scope} nobody`,
    `GET ${tokens.auth.service} ${scope} ${user.name}`,
    `POST ${tokens.auth.service} ${scope} refreshed`,
  ])
  t.match(
    await lookUp({ plainHttp: [registry.host] }).find(image),
    { known: false, why: /is not asked: it would be over something else than HTTPS/ },
    'a token server is as little to be spoken to in the clear as a registry',
  )
})

t.test('TLS is verified, against the configured authority as well', async (t) => {
  const authority = makeAuthority('of this test', validity)
  const tls = makeLeaf(authority, ['127.0.0.1'], validity)
  const registry = await startRegistry(t, { tls })
  // A registry of the loopback is asked only where the configuration names it.
  const mirrors = new Map([['registry.test', [registry.host]]])
  const strict = lookUp({ mirrors })
  t.match(await strict.find('registry.test/team/app:1'), {
    known: false,
    why: /cannot be asked: .*certificate/,
  })
  const trusting = lookUp({ mirrors }, { authorities: [authority.cert] })
  t.match(
    await trusting.find('registry.test/team/app:1'),
    { known: false, why: /answers 404/ },
    'the registry answered',
  )
})

t.test('a mirror is asked before the registry, and the registry where the mirror has nothing', async (t) => {
  const mirror = await open(t)
  const upstream = await open(t)
  const name = `${upstream.registry.host}/team/app`
  await pushImage(
    `http://${mirror.registry.host}/v2/cached/team/app`,
    sampleImage({ Cmd: ['mirrored'] }),
    'both',
  )
  await pushImage(upstream.base, sampleImage({ Cmd: ['original'] }), 'both')
  await pushImage(upstream.base, sampleImage({ Cmd: ['original'] }), 'one')
  const { find } = lookUp({
    plainHttp: [...mirror.plainHttp, ...upstream.plainHttp],
    mirrors: new Map([[upstream.registry.host, [`${mirror.registry.host}/cached`]]]),
  })
  t.match(await find(`${name}:both`), { command: { cmd: ['mirrored'] } })
  t.same(manifestsAsked(upstream.registry), [])
  t.match(await find(`${name}:one`), { command: { cmd: ['original'] } })
  t.match(await find(`${name}:none`), { known: false, why: /answers 404.*; .*answers 404/ })
})

t.test(
  'an answer is remembered, a tag is looked at again, and what it stood for is not fetched twice',
  async (t) => {
    const { registry, base, image, plainHttp } = await open(t)
    const clock = { now: 0 }
    await pushImage(base, sampleImage(serve), '1')
    const { find } = lookUp({ plainHttp }, { clock })
    /** The registry writes its log when it likes. */
    const asked = async (count: number) => {
      await until(`${count} questions`, () => manifestsAsked(registry).length >= count)
      return manifestsAsked(registry).map((line) => line.split(' ')[0])
    }
    await Promise.all(Array.from({ length: 20 }, () => find(`${image}:1`)))
    t.same(await asked(1), ['GET'], 'twenty at once are one question')
    clock.now += 59_000
    t.same(await find(`${image}:1`), known)
    t.same(await asked(1), ['GET'])
    clock.now += 2000
    t.same(await find(`${image}:1`), known)
    t.same(await asked(2), ['GET', 'HEAD'], 'only whether it is still the same')
    await pushImage(base, sampleImage({ Cmd: ['new'] }), '1')
    clock.now += 61_000
    t.match(await find(`${image}:1`), { command: { cmd: ['new'] } })
    t.same(await asked(4), ['GET', 'HEAD', 'HEAD', 'GET'])
  },
)

t.test('a failure is remembered for ten seconds only', async (t) => {
  const { base, image, plainHttp } = await open(t)
  const clock = { now: 0 }
  const { find } = lookUp({ plainHttp }, { clock })
  t.match(await find(`${image}:1`), { known: false })
  await pushImage(base, sampleImage(serve), '1')
  clock.now += 9000
  t.match(await find(`${image}:1`), { known: false })
  clock.now += 2000
  t.same(await find(`${image}:1`), known)
})

t.test('a pod whose credentials do not show an image learns nothing of it from other pods', async (t) => {
  const registry = await startRegistry(t, { auth: 'password' })
  const image = `${registry.host}/team/app`
  const sample = sampleImage(serve)
  await pushImage(`http://${registry.host}/v2/team/app`, sample, '1', { authorization: basic })
  const { find } = lookUp({ plainHttp: [registry.host] })
  const right = [password(registry.host, user.name, user.password)]
  for (const name of [`${image}:1`, `${image}@${sample.manifest.digest}`]) {
    t.same(await find(name, right), known)
    t.match(await find(name), { known: false })
    t.match(await find(name, [password(registry.host, user.name, 'guessed')]), { known: false })
  }
})
