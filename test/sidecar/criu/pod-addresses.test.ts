import t from 'tap'
import { newAddresses, strangeAddresses, withNewAddresses } from '../../../sidecar/criu/pod-addresses.ts'
import { encodeMessage, encodeNumber, fieldsOf } from '../../../sidecar/criu/protobuf.ts'

const own = ['127.0.0.1', '::1', '10.8.0.9', '2001:db8::9', 'fe80::9']
const v4 = (...bytes: number[]) => [Buffer.from(bytes).readUInt32LE()]
const v6 = (hex: string) => [0, 4, 8, 12].map((at) => Buffer.from(hex, 'hex').readUInt32LE(at))
const [ten, other, any, loopback] = [v4(10, 8, 0, 5), v4(198, 51, 100, 7), v4(0, 0, 0, 0), v4(127, 0, 0, 1)]
const documentation = '20010db8000000000000000000000005'
const mapped = '00000000000000000000ffff0a080005'

const numbers = (field: number, values: number[]) => values.map((value) => encodeNumber(field, value))

/** file_entry of the type INETSK, with ports 7000 and 7001 around the addresses. */
function socket(source: number[], target: number[]): Buffer {
  const message = [
    encodeNumber(7, 7000),
    ...numbers(11, source),
    ...numbers(12, target),
    encodeNumber(8, 7001),
  ]
  return Buffer.concat([encodeNumber(1, 4), encodeNumber(2, 9), encodeMessage(4, Buffer.concat(message))])
}

function changed(entry: Buffer): Buffer | undefined {
  return withNewAddresses(entry, newAddresses(strangeAddresses([entry], own), own))
}

t.test('an address of the old pod becomes this pod’s of the same kind, and all else stays', async (t) => {
  const cases: [string, Buffer, Buffer][] = [
    ['a listener', socket(ten, any), socket(v4(10, 8, 0, 9), any)],
    ['a client of another', socket(ten, other), socket(v4(10, 8, 0, 9), other)],
    ['a client of the pod itself', socket(ten, ten), socket(v4(10, 8, 0, 9), v4(10, 8, 0, 9))],
    ['by IPv6', socket(v6(documentation), v6('0'.repeat(32))), socket(v6('20010db8000000000000000000000009'), v6('0'.repeat(32)))],
    ['of IPv4 in IPv6', socket(v6(mapped), v6(mapped)), socket(v6('00000000000000000000ffff0a080009'), v6('00000000000000000000ffff0a080009'))],
    ['link-local', socket(v6('fe800000000000000000000000000001'), v6(documentation)), socket(v6('fe800000000000000000000000000009'), v6(documentation))],
  ] // prettier-ignore
  for (const [name, entry, expected] of cases) t.strictSame(changed(entry), expected, name)
})

t.test('what is no address of a pod stays, and so does one that this pod has', async (t) => {
  for (const source of [
    any,
    loopback,
    v4(239, 1, 2, 3),
    v4(255, 255, 255, 255),
    v4(10, 8, 0, 9),
    v6('0'.repeat(31) + '1'),
  ])
    t.equal(changed(socket(source, other)), undefined)
  t.equal(
    changed(Buffer.concat([encodeNumber(1, 16), encodeNumber(2, 9)])),
    undefined,
    'another kind of file',
  )
})

t.test('a pod without an address of the kind leaves it to CRIU to refuse', async (t) => {
  const entry = socket(v6(documentation), v6(documentation))
  const only = ['127.0.0.1', '10.8.0.9']
  const strange = strangeAddresses([entry], only)
  t.same([...strange], ['2001:db8::5'])
  t.equal(withNewAddresses(entry, newAddresses(strange, only)), undefined)
  t.equal(fieldsOf(entry).length, 3)
})
