import t from 'tap'
import { missingCapabilities, requireCapabilities } from '../../../sidecar/criu/held-capabilities.ts'

const status = (permitted: string) =>
  `Name:\tx\nCapInh:\tffffffffffffffff\nCapPrm:\t${permitted}\nCapEff:\t0\n`

t.test('what any process of the tree holds and the sidecar lacks is named', async (t) => {
  const own = status('00000000a80425fb')
  t.same(missingCapabilities([own, status('0000000000000000')], own), [])
  t.same(missingCapabilities([own, status('00000000a88465fb')], own), ['IPC_LOCK', 'SYS_NICE'])
  t.same(missingCapabilities([status('8000010000000000'), ''], own), ['CHECKPOINT_RESTORE', 'number 63'])
})

t.test('a process may be dumped by its like', async (t) => {
  await t.resolves(requireCapabilities(process.pid))
})
