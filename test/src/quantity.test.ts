import t from 'tap'
import { parseQuantityBytes, parseQuantityNanos } from '../../src/quantity.ts'

t.test('a quantity is read as Kubernetes reads it', async (t) => {
  const nanos: [string, bigint][] = [
    ['0', 0n],
    ['1', 1_000_000_000n],
    ['100m', 100_000_000n],
    ['0.1', 100_000_000n],
    ['.5', 500_000_000n],
    ['5.', 5_000_000_000n],
    ['1.5Gi', 1_610_612_736_000_000_000n],
    ['1e3', 1_000_000_000_000n],
    ['1E3', 1_000_000_000_000n],
    ['1E', 1_000_000_000_000_000_000_000_000_000n],
    ['2k', 2_000_000_000_000n],
    ['-1Ki', -1_024_000_000_000n],
    ['+3', 3_000_000_000n],
    ['1n', 1n],
    ['0.1n', 1n],
    ['12e-1', 1_200_000_000n],
  ]
  for (const [text, expected] of nanos) t.equal(parseQuantityNanos(text), expected, text)
})

t.test('what is no quantity is not read', async (t) => {
  const wrong = [
    '',
    ' ',
    '1 Gi',
    'Gi',
    '1gi',
    '1K',
    '1e',
    '--1',
    '1.2.3',
    '0x10',
    '1e999',
    '.',
    `${'9'.repeat(65)}`,
    'NaN',
  ]
  for (const text of wrong) t.equal(parseQuantityNanos(text), undefined, JSON.stringify(text))
})

t.test('bytes are whole, rounded up, and never lose precision', async (t) => {
  t.equal(parseQuantityBytes('128Mi'), 134_217_728)
  t.equal(parseQuantityBytes('0.5'), 1)
  t.equal(parseQuantityBytes('1500m'), 2)
  t.equal(parseQuantityBytes('-1'), undefined)
  t.equal(parseQuantityBytes('9Ei'), undefined, 'beyond 2^53')
})
