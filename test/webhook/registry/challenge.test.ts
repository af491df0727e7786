import t from 'tap'
import { cpuMs } from '../../cpu-time.ts'
import { parseChallenges } from '../../../webhook/registry/challenge.ts'

const read = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)])

t.test('challenges are read with their parameters, one or several to a line', async (t) => {
  t.same(
    read(
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
    ),
    [
      [
        'bearer',
        {
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:a/b:pull,push',
        },
      ],
    ],
  )
  t.same(read('Basic realm="a \\"quoted\\" one", charset=UTF-8, Bearer realm=x'), [
    ['basic', { realm: 'a "quoted" one', charset: 'UTF-8' }],
    ['bearer', { realm: 'x' }],
  ])
  t.same(read('Negotiate, BASIC Realm = "x"'), [
    ['negotiate', {}],
    ['basic', { realm: 'x' }],
  ])
})

t.test('a broken header gives the challenges before the fault, and never takes long', async (t) => {
  t.same(read(''), [])
  t.same(read(',,,'), [])
  t.same(read('realm="x"'), [], 'a parameter of no challenge')
  t.same(read('Bearer realm="never ends'), [
    ['bearer', {}],
    ['realm', {}],
  ])
  const begun = cpuMs()
  parseChallenges(`Bearer realm="${'\\"'.repeat(8000)}`)
  parseChallenges('a=,'.repeat(5000))
  t.ok(cpuMs() - begun < 500)
})
