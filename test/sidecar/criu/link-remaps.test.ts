import { join } from 'node:path'
import t from 'tap'
import { hasLinkRemaps } from '../../../sidecar/criu/regular-files.ts'

t.test('only a dump that names a file of CRIU’s has link remaps', async (t) => {
  const images = t.testdir({
    with: { 'files.img': '\x12\x1b/data/link_remap.17\x18\x02' },
    without: { 'files.img': '\x12\x1b/data/link\x18\x02' },
    none: {},
  })
  t.equal(await hasLinkRemaps(join(images, 'with')), true)
  t.equal(await hasLinkRemaps(join(images, 'without')), false)
  await t.rejects(hasLinkRemaps(join(images, 'none')), { code: 'ENOENT' }, 'it is not taken for none')
})
