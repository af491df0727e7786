import t from 'tap'
import { annotationNames, readOptIn, readWishes } from '../../src/annotations.ts'

const p = (name: string) => `reprieve.dev/${name}`

t.test('the opt-in is exactly true or false', async (t) => {
  t.equal(readOptIn({ [p('checkpoint')]: 'true' }), 'yes')
  t.equal(readOptIn({ [p('checkpoint')]: 'false' }), 'no')
  t.equal(readOptIn({ [p('checkpoint')]: 'True' }), 'unclear')
  t.equal(readOptIn({}), 'unsaid')
})

t.test('every annotation of the contract is read', async (t) => {
  const { wishes, problems, unknown } = readWishes({
    [p('checkpoint')]: 'true',
    [p('containers')]: 'main, helper',
    [p('triggers')]: 'manual,memory',
    [p('interval')]: '15m',
    [p('memory-threshold')]: '85%',
    [p('on-memory-pressure')]: 'reschedule',
    [p('memory-max')]: '16Gi',
    [p('store')]: 'fast',
    [p('keep')]: '5',
    [p('key')]: 'Run_7.b',
    [p('restore')]: '20260102T030405.678Z-89abcdef',
    [p('external-files')]: 'rewind',
    [p('exclude')]: '/scratch/cache/, /tmp',
    [p('without-env')]: 'TOKEN, JPY_*',
    [p('seccomp')]: 'keep',
    'other.example/keep': 'x',
  })
  t.same(problems, [])
  t.same(unknown, [])
  t.same(wishes, {
    containers: ['main', 'helper'],
    triggers: ['memory', 'manual'],
    interval: { everyMs: 900_000 },
    memoryThresholdPercent: 85,
    onMemoryPressure: 'reschedule',
    memoryMaxBytes: 16 * 2 ** 30,
    store: 'fast',
    keep: 5,
    key: 'Run_7.b',
    restore: '20260102T030405.678Z-89abcdef',
    externalFiles: 'rewind',
    exclude: ['/scratch/cache', '/tmp'],
    withoutEnv: ['TOKEN', 'JPY_*'],
    seccomp: 'keep',
  })
  t.equal(annotationNames.length, 15)
})

t.test('the words that stand for themselves are read', async (t) => {
  t.equal(readWishes({ [p('interval')]: 'auto' }).wishes.interval, 'auto')
  t.equal(readWishes({ [p('interval')]: 'off' }).wishes.interval, 'off')
  t.same(readWishes({ [p('interval')]: '8760h' }).wishes.interval, { everyMs: 8_760 * 3_600_000 }, 'a year')
  t.equal(readWishes({ [p('restore')]: 'never' }).wishes.restore, 'never')
  t.same(readWishes({}).wishes, {})
})

t.test('all problems are told at once, each with the value and what would be accepted', async (t) => {
  const wrong: Record<string, string[]> = {
    checkpoint: ['yes', '', 'TRUE'],
    containers: ['', 'a,,b', 'a,a', 'A', '../x'],
    triggers: ['', 'memory,memory', 'oom'],
    interval: ['10', '5ms', '0', 'never', '8760h1s', '9999999999h'],
    'memory-threshold': ['85', '0%', '100%', '8.5%'],
    'on-memory-pressure': ['', 'kill'],
    'memory-max': ['0', '-1Gi', 'lots'],
    store: ['/var/lib', 's3://bucket', '', '../x'],
    keep: ['0', '101', '-1', '1.5', ' 3'],
    key: ['', 'a/b', '..', '-a', 'x'.repeat(64)],
    restore: ['', 'newest', '../../etc'],
    'external-files': ['', 'Safe', 'cut'],
    'without-env': ['', 'A,', 'A=1', 'A B', '*A'],
    exclude: ['', 'cache', '/a,/a/', '/a//b', '/a/../b', '/a/.', '/', '/a\nb'],
  }
  for (const [name, values] of Object.entries(wrong))
    for (const value of values) {
      const { problems } = readWishes({ [p(name)]: value })
      t.equal(problems.length, 1, `${name}=${value}`)
      t.ok(problems[0]?.startsWith(`${p(name)} is ${JSON.stringify(value)}; accepted: `), problems.join())
    }
  const all = Object.fromEntries(Object.entries(wrong).map(([name, values]) => [p(name), values[0] ?? '']))
  t.equal(readWishes(all).problems.length, Object.keys(wrong).length)
})

t.test('a long value is not repeated whole', async (t) => {
  const [problem = ''] = readWishes({ [p('store')]: 'x'.repeat(100_000) }).problems
  t.ok(problem.length < 250)
})

t.test('an unknown annotation of ours is told, and no problem', async (t) => {
  const { problems, unknown } = readWishes({ [p('kep')]: '3' })
  t.same(problems, [])
  t.same(unknown, [p('kep')])
})

t.test('names of the object prototype are data like any other', async (t) => {
  const annotations = JSON.parse(
    `{"__proto__": "x", "constructor": "y", "${p('__proto__')}": "z"}`,
  ) as Record<string, string>
  t.same(readWishes(annotations), { wishes: {}, problems: [], unknown: [p('__proto__')] })
})
