/** Registries that are slow, broken, hostile or overloaded. Every one of them costs one pod its protection, for a moment, and no more. */
import t, { type Test } from 'tap'
import type { EntrypointConfig } from '../../../src/config.ts'
import { lookUp, password, type Clock } from './looking-up.ts'
import { blobOf, sampleImage, sampleIndex, type Blob } from './oci-image.ts'
import { serving, startQuirky, type Quirk } from './quirky-registry.ts'

const sample = sampleImage({ Entrypoint: ['/bin/serve'] })
const byTag = { '1': sample.manifest, [sample.config.digest]: sample.config }
const known = { known: true, command: { entrypoint: ['/bin/serve'], cmd: [] } }

async function open(t: Test, quirk?: Quirk, config: Partial<EntrypointConfig> = {}, clock?: Clock) {
  const registry = await startQuirky(t, quirk)
  const { find, images } = lookUp(
    { plainHttp: [registry.host], ...config },
    clock === undefined ? {} : { clock },
  )
  return { registry, find, images, image: `${registry.host}/app:1` }
}

t.test('a registry that answers badly is told of by its status, never by its words', async (t) => {
  const { registry, find } = await open(t)
  const cases: [Quirk, RegExp, ('owner' | 'elsewhere')?][] = [
    [(_i, reply) => reply.writeHead(500).end('secret stack trace'), /^\S+ answers 500$/, 'elsewhere'],
    [(_i, reply) => reply.writeHead(404).end('<html>secret</html>'), /answers 404: it has no such image/],
    [
      (_i, reply) => reply.writeHead(403).end('{"errors":[{"code":"DENIED","message":"secret"}]}'),
      /answers 403 DENIED: it forbids/,
    ],
    [(_i, reply) => reply.writeHead(418).end('{"errors":[{"code":"<b>secret</b>"}]}'), /answers 418$/],
    [(_i, reply) => reply.destroy(), /cannot be asked/, 'elsewhere'],
    [(_i, reply) => reply.writeHead(200).end('garbage'), /its manifest is not JSON/],
    [(_i, reply) => reply.writeHead(200).end('{"schemaVersion":1}'), /of an old schema/],
    [
      (_i, reply) => reply.writeHead(200).end('{"schemaVersion":2}'),
      /of a type that this version does not know/,
    ],
    [
      (_i, reply) =>
        void reply.writeHead(200, { 'content-length': 99 }).write('{"schema', () => reply.destroy()),
      /cannot be asked/,
      'elsewhere',
    ],
  ]
  for (const [index, [quirk, why, fault = 'owner']] of cases.entries()) {
    registry.answerWith(quirk)
    const found = await find(`${registry.host}/app:${index}`)
    t.match(found, { known: false, why, fault })
    t.notMatch(JSON.stringify(found), 'secret')
  }
})

t.test('a registry that hangs, at whatever byte, is given up on within the budget', async (t) => {
  const budgetMs = 500
  const hangs: Quirk[] = [
    () => undefined,
    (_i, reply) => void reply.writeHead(200).flushHeaders(),
    (_i, reply) => {
      reply.writeHead(200)
      const timer = setInterval(() => reply.write(' '), 20)
      reply.on('close', () => clearInterval(timer))
    },
  ]
  for (const hang of hangs) {
    const { find, image } = await open(t, hang, { budgetMs })
    // Nobody else would ever have answered.
    t.match(await find(image), { known: false, why: /did not answer in time/, fault: 'elsewhere' })
  }
})

t.test(
  'a caller with less time than the budget gets an answer in that time, and the next one finds the result',
  async (t) => {
    const answers = Promise.withResolvers<void>()
    const { find, image, registry } = await open(t, async (incoming, reply, path) => {
      await answers.promise
      serving(byTag)(incoming, reply, path)
    })
    t.match(await find(image, [], 'amd64', 100), {
      known: false,
      why: /did not answer in time/,
      fault: 'elsewhere',
    })
    answers.resolve()
    t.same(await find(image), known)
    t.equal(registry.asked.length, 2, 'the question that was under way was not asked again')
  },
)

t.test('a mirror that hangs leaves the registry its share of the budget', async (t) => {
  const mirror = await startQuirky(t, () => undefined)
  const registry = await startQuirky(t, serving(byTag))
  const { find } = lookUp({
    budgetMs: 4000,
    plainHttp: [mirror.host, registry.host],
    mirrors: new Map([[registry.host, [mirror.host]]]),
  })
  t.same(await find(`${registry.host}/app:1`), known)
  t.equal(mirror.asked.length, 1)
})

t.test('an answer that does not end is cut off', async (t) => {
  let sentBytes = 0
  const { find, image } = await open(t, (_incoming, reply) => {
    reply.writeHead(200)
    const pour = () => {
      while (!reply.destroyed && reply.write(' '.repeat(65_536))) sentBytes += 65_536
      if (!reply.destroyed) reply.once('drain', pour)
    }
    pour()
  })
  t.match(await find(image), { known: false, why: /answers with more than 1048576 bytes/ })
  t.ok(sentBytes < 64 * 1024 * 1024, `${sentBytes} bytes were sent`)
})

t.test('content that does not match its digest is refused', async (t) => {
  const forged = sampleImage({ Entrypoint: ['/bin/evil'] })
  const { registry, find, image } = await open(
    t,
    serving({ ...byTag, [sample.config.digest]: forged.config }),
  )
  t.match(await find(image), { known: false, why: /gives something else for sha256:/ })
  registry.answerWith(serving({ [sample.manifest.digest]: forged.manifest }))
  t.match(await find(`${registry.host}/app@${sample.manifest.digest}`), {
    known: false,
    why: /gives something else/,
  })
})

t.test('401 for ever ends with the credentials that there are', async (t) => {
  const { registry, find, image } = await open(t, (_incoming, reply) =>
    reply.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end(),
  )
  t.match(await find(image), { known: false, why: /answers 401/ })
  t.equal(registry.asked.length, 1)
  const many = Array.from({ length: 100 }, (_, index) => password(registry.host, 'u', String(index)))
  t.match(await find(image, many), { known: false, why: /answers 401/ })
  t.ok(registry.asked.length <= 10, `${registry.asked.length} requests`)
})

t.test('a token server that gives no token, or too large a one, is no way in', async (t) => {
  const { registry, find } = await open(t)
  const answers = [
    'no JSON',
    '{}',
    '{"token":""}',
    '{"token":["x"]}',
    '{"token":"a\\r\\nb: c"}',
    `{"token":"${'x'.repeat(20_000)}"}`,
  ]
  for (const [index, answer] of answers.entries()) {
    registry.answerWith((_incoming, reply, path) => {
      if (path.startsWith('/token')) reply.end(answer)
      else reply.writeHead(401, { 'www-authenticate': `Bearer realm="http://${registry.host}/token"` }).end()
    })
    t.match(
      await find(`${registry.host}/app:${index}`),
      { known: false, why: /gives no token/ },
      answer.slice(0, 30),
    )
  }
})

t.test('too many requests are waited out, for as long as the registry says', async (t) => {
  const clock = { now: 0 }
  const { registry, find, image } = await open(
    t,
    (_i, reply) => reply.writeHead(429, { 'retry-after': '60' }).end(),
    {},
    clock,
  )
  t.match(await find(image), {
    known: false,
    why: /answers 429: it has been asked too often/,
    fault: 'elsewhere',
  })
  registry.answerWith(serving(byTag))
  clock.now += 59_000
  t.match(await find(image), { known: false })
  t.equal(registry.asked.length, 1)
  clock.now += 2000
  t.same(await find(image), known)
  registry.answerWith((_i, reply) => reply.writeHead(429, { 'retry-after': '999999' }).end())
  const other = `${registry.host}/app:2`
  t.match(await find(other), { known: false })
  registry.answerWith(serving({ '2': sample.manifest, [sample.config.digest]: sample.config }))
  clock.now += 301_000
  t.same(await find(other), known, 'but not for ever')
})

t.test('credentials go to no other host, whoever redirects there', async (t) => {
  const elsewhere = await startQuirky(t, serving(byTag))
  const registry = await startQuirky(t, (incoming, reply, path) => {
    if (incoming.headers.authorization === undefined)
      reply.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
    else if (path.includes('/blobs/'))
      reply.writeHead(307, { location: `http://${elsewhere.host}${path}` }).end()
    else serving(byTag)(incoming, reply, path)
  })
  const { find } = lookUp({ plainHttp: [registry.host, elsewhere.host] })
  t.same(await find(`${registry.host}/app:1`, [password(registry.host, 'u', 'p')]), known)
  t.match(registry.asked.at(-1), { authorization: /^Basic / })
  t.same(elsewhere.asked, [
    { method: 'GET', path: `/v2/app/blobs/${sample.config.digest}`, authorization: undefined },
  ])
})

t.test(
  'redirects lead neither in circles, nor to plain HTTP, nor into the machine or the cloud',
  async (t) => {
    const { registry, find } = await open(t)
    const ways: [string, RegExp][] = [
      [`http://${registry.host}/again`, /redirects more than 5 times/],
      [
        'http://registry.example/v2/',
        /registry\.example is not asked: it would be over something else than HTTPS/,
      ],
      ['file:///etc/passwd', /is not asked/],
      [
        'https://169.254.169.254/latest/meta-data',
        /is not asked: it is inside the machine, the cluster or a private network/,
      ],
      ['https://[::ffff:127.0.0.1]/', /is not asked: it is inside/],
      ['https://[fe80::1]/', /is not asked: it is inside/],
      ['https://user:pass@registry.example/', /is not asked: its address holds credentials/],
      ['https://localhost:1/', /localhost:1 is not asked: it is inside/],
      ['http://[', /redirects to no address/],
    ]
    for (const [index, [location, why]] of ways.entries()) {
      registry.answerWith((_incoming, reply) => reply.writeHead(302, { location }).end())
      t.match(await find(`${registry.host}/app:${index}`), { known: false, why }, location)
    }
  },
)

t.test("a pod's image leads nowhere that the administrator did not name", async (t) => {
  const { registry } = await open(t, serving(byTag))
  const { find } = lookUp({})
  for (const host of [
    registry.host,
    '169.254.169.254',
    '[::1]:5000',
    'localhost:5000',
    '0.0.0.0:80',
    '2130706433:443',
    '10.0.0.1:5000',
    '192.168.1.1',
    '[fd00::1]:5000',
  ])
    t.match(await find(`${host}/app:1`), { known: false, why: /is not asked/, fault: 'elsewhere' }, host)
  t.same(registry.asked, [])
})

const realm = (host: string) => `Bearer realm="https://${host}/token",service="x"`

t.test('nor does a token server, unless it is named', async (t) => {
  const tokens = await startQuirky(t, (_incoming, reply) => reply.writeHead(200).end('{"token":"x"}'))
  const port = tokens.host.split(':')[1]
  const { registry, find } = await open(t)
  for (const host of [`localhost:${port}`, '10.0.0.1', '169.254.169.254', '[fd00::1]']) {
    registry.answerWith((_i, reply) => reply.writeHead(401, { 'www-authenticate': realm(host) }).end())
    t.match(
      await find(`${registry.host}/${port}:${host.length}`),
      { known: false, why: /is not asked: it is inside/ },
      host,
    )
  }
  t.same(tokens.asked, [])
})

t.test('indexes within indexes are followed, but not for ever', async (t) => {
  const nested = (inner: Blob, depth: number): Record<string, Blob> => {
    const index = sampleIndex([{ image: inner, platform: { os: 'linux', architecture: 'amd64' } }])
    return depth === 1 ? { '1': index } : { [index.digest]: index, ...nested(index, depth - 1) }
  }
  const blobs = { [sample.manifest.digest]: sample.manifest, [sample.config.digest]: sample.config }
  const { registry, find, image } = await open(t, serving({ ...blobs, ...nested(sample.manifest, 3) }))
  t.same(await find(image), known)
  registry.answerWith(serving({ ...blobs, ...nested(sample.manifest, 9) }))
  t.match(await find(`${registry.host}/other:1`), { known: false, why: /more than 3 deep/ })
})

t.test('configurations of other forms are refused with a reason', async (t) => {
  const { registry, find } = await open(t)
  const type = sample.config.mediaType
  const image = { architecture: 'amd64', os: 'linux' }
  const cases: [Blob, RegExp][] = [
    [blobOf({ ...image, config: { Entrypoint: 'sh' } }, type), /not of a known form/],
    [blobOf({ ...image, config: { Cmd: [1] } }, type), /not of a known form/],
    [blobOf([], type), /not of a known form/],
    [blobOf({ ...image, os: 'windows' }, type), /not for Linux/],
    [blobOf({ ...image, config: { Cmd: ['a\0b'] } }, type), /characters that no command can have/],
    [blobOf({ ...image, config: { Cmd: ['x'.repeat(16_384)] } }, type), /longer than 16384 bytes/],
    [blobOf({}, 'application/vnd.cncf.helm.config.v1+json'), /another kind of artifact/],
  ]
  for (const [index, [config, why]] of cases.entries()) {
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const descriptor = { digest: config.digest, mediaType: config.mediaType, size: config.bytes.length }
    const manifest = blobOf({ schemaVersion: 2, mediaType, config: descriptor, layers: [] }, mediaType)
    registry.answerWith(serving({ [String(index)]: manifest, [config.digest]: config }))
    t.match(await find(`${registry.host}/app:${index}`), { known: false, why }, String(why))
  }
})

t.test('beyond a number of questions at a time the answer is given at once', async (t) => {
  const { registry, find } = await open(t, () => undefined, { budgetMs: 3000 })
  let answered = 0
  const first = Array.from({ length: 16 }, async (_, index) => {
    const found = await find(`${registry.host}/app:${index}`)
    answered++
    return found
  })
  t.match(await find(`${registry.host}/app:one-more`), {
    known: false,
    why: /too many images/,
    fault: 'elsewhere',
  })
  t.equal(answered, 0, 'before any of them')
  t.ok((await Promise.all(first)).every((found) => !found.known))
})

t.test(
  'a connection that the registry gave up while it was kept is replaced, and nobody notices',
  async (t) => {
    const seen = new WeakSet()
    const { find, image, registry } = await open(t, (incoming, reply, path) => {
      if (seen.has(incoming.socket)) incoming.socket.destroy()
      else serving(byTag)(incoming, reply, path)
      seen.add(incoming.socket)
    })
    t.same(await find(image), known)
    t.equal(registry.asked.length, 3, 'the second question was asked twice')
  },
)

t.test('a registry that knows no HEAD is asked for the whole', async (t) => {
  const clock = { now: 0 }
  const { registry, find, image } = await open(
    t,
    (incoming, reply, path) => {
      if (incoming.method === 'HEAD') reply.writeHead(405).end()
      else serving(byTag)(incoming, reply, path)
    },
    {},
    clock,
  )
  for (let minute = 0; minute < 2; minute++) {
    t.same(await find(image), known)
    clock.now += 61_000
  }
  t.same(
    registry.asked.filter(({ path }) => path.includes('/manifests/')).map(({ method }) => method),
    ['GET', 'HEAD', 'GET'],
  )
})
