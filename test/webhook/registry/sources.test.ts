import t from 'tap'
import { parseReference } from '../../../webhook/registry/reference.ts'
import { rangesIn } from '../../../webhook/registry/inside.ts'
import { permitted } from '../../../webhook/registry/permitted-url.ts'
import { namedHosts, sourcesOf } from '../../../webhook/registry/sources.ts'

const config = {
  plainHttp: ['mirror.local:5000'],
  mirrors: new Map([['docker.io', ['mirror.local:5000', 'harbor.example/hub']]]),
}
const of = (image: string) => {
  const reference = parseReference(image)
  return reference === undefined ? [] : sourcesOf(reference, config)
}

t.test('the mirrors of a domain come first, each with its own name for the image', async (t) => {
  t.same(of('ubuntu'), [
    {
      origin: 'http://mirror.local:5000',
      repository: 'library/ubuntu',
      name: 'mirror.local:5000/library/ubuntu',
    },
    {
      origin: 'https://harbor.example',
      repository: 'hub/library/ubuntu',
      name: 'harbor.example/hub/library/ubuntu',
    },
    {
      origin: 'https://registry-1.docker.io',
      repository: 'library/ubuntu',
      name: 'docker.io/library/ubuntu',
    },
  ])
  t.same(of('ghcr.io/a/b'), [{ origin: 'https://ghcr.io', repository: 'a/b', name: 'ghcr.io/a/b' }])
})

t.test('a host is the same with its scheme’s usual port and without, in capitals or not', async (t) => {
  const plainHttp = ['registry.local:80', 'Other.local']
  const origins = (image: string) => {
    const reference = parseReference(image)
    if (reference === undefined) throw new Error(image)
    return sourcesOf(reference, { plainHttp, mirrors: new Map() }).map(({ origin }) => origin)
  }
  t.same(origins('registry.local:80/a/b'), ['http://registry.local:80'])
  t.same(origins('registry.local:5000/a/b'), ['https://registry.local:5000'])
  const trust = { plainHttp, named: plainHttp, ranges: rangesIn([]) }
  for (const address of [
    'http://registry.local:80/v2/',
    'http://registry.local/v2/',
    'http://other.local/v2/',
  ])
    t.doesNotThrow(() => permitted(new URL(address), trust), address)
  for (const address of ['http://registry.local:8080/v2/', 'http://third.local/v2/'])
    t.throws(() => permitted(new URL(address), trust), { code: 'registry-failed' }, address)
})

t.test('the named hosts are those of the configuration', async (t) => {
  const insideRegistries = ['registry.corp:5000', '10.1.0.0/16']
  t.same(namedHosts({ ...config, insideRegistries }), [
    'mirror.local:5000',
    'registry.corp:5000',
    'registry-1.docker.io',
    'mirror.local:5000',
    'harbor.example',
  ])
})
