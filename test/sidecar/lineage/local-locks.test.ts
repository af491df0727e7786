import t from 'tap'
import { areLocal, locksAreLocal } from '../../../sidecar/lineage/local-locks.ts'

const mount = (point: string, type: string, options: string) =>
  `36 35 98:0 / ${point} rw,noatime shared:1 master:2 - ${type} server:/export ${options}`
const root = '22 1 8:1 / / rw - ext4 /dev/sda1 rw'

t.test('locks that stay on their node are known by the mount', async (t) => {
  const cases: [string, string, boolean][] = [
    ['nfs', 'rw,vers=3,nolock,proto=tcp,local_lock=all', true],
    ['nfs', 'rw,vers=3,local_lock=flock', true],
    ['nfs', 'rw,vers=3,local_lock=posix', false],
    ['nfs4', 'rw,vers=4.2,local_lock=none', false],
    ['cifs', 'rw,nobrl', true],
    ['cifs', 'rw', false],
    ['lustre', 'rw,localflock', true],
    ['lustre', 'rw,flock', false],
    ['fuse.s3fs', 'rw,user_id=0', true],
    ['virtiofs', 'rw', true],
    ['ext4', 'rw,nolock', false],
    ['ceph', 'rw', false],
  ]
  for (const [type, options, isLocal] of cases)
    t.equal(
      areLocal([root, mount('/store', type, options)].join('\n'), '/store/a/claim'),
      isLocal,
      `${type} ${options}`,
    )
})

t.test('the mount is the one that covers the path, the last of several', async (t) => {
  const local = mount('/store', 'nfs', 'nolock')
  const shared = mount('/store', 'nfs4', 'rw')
  t.equal(areLocal([root, local].join('\n'), '/stored/claim'), false, 'another folder')
  t.equal(areLocal([root, local, mount('/store/a', 'nfs4', 'rw')].join('\n'), '/store/a/claim'), false)
  t.equal(areLocal([local, mount('/store/a', 'nfs4', 'rw'), root].join('\n'), '/store/b/claim'), true)
  t.equal(areLocal([local, shared].join('\n'), '/store/claim'), false, 'mounted over')
  t.equal(areLocal(mount('/my\\040store', 'nfs', 'nolock'), '/my store/claim'), true)
  t.equal(areLocal('', '/store'), false)
  t.equal(locksAreLocal('/proc/self'), false, 'of this machine')
})
