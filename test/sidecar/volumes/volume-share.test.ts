import t from 'tap'
import {
  bytesOf,
  fileName,
  nameInPod,
  overlap,
  type PodVolume,
} from '../../../sidecar/volumes/pod-volumes.ts'
import { comesBack, shareOf, type SharedFile } from '../../../sidecar/volumes/volume-share.ts'
import type { VolumeNote } from '../../../sidecar/volumes/volume-note.ts'

const volume: PodVolume = { path: '/data', device: '8:1', root: '/volumes/data', isGiven: false }
const note = (root: string, device = '8:1'): VolumeNote => ({
  createdAt: '',
  volumes: [{ device, root }],
})

t.test('two mounts share files where one is the other, or a folder of it', async (t) => {
  for (const [root, shares] of [
    ['/volumes/data', true],
    ['/volumes/data/sub', true],
    ['/volumes', true],
    ['/', true],
    ['/volumes/data-2', false],
    ['/other', false],
  ] as const)
    t.equal(overlap(volume, { device: '8:1', root }), shares, root)
  t.notOk(overlap(volume, { device: '8:2', root: volume.root }))
})

t.test(
  'a file has one name in the pod, whatever the mount points and the parts that are mounted',
  async (t) => {
    const sub = { ...volume, path: '/mnt/ü', root: '/volumes/data/sub' }
    t.equal(nameInPod(volume, '/data/sub/file'), '8:1 /volumes/data/sub/file')
    t.equal(nameInPod(sub, bytesOf('/mnt/ü/file')), '8:1 /volumes/data/sub/file')
    t.equal(nameInPod({ ...volume, root: '/', path: '/dev/shm' }, '/dev/shm/a'), '8:1 /a')
  },
)

t.test('a device is named as /proc/PID/maps names it', async (t) => {
  t.equal(fileName(0xfd01n, 7n), '253:1:7')
  t.equal(fileName((5n << 20n) | (3n << 8n) | 2n, 1n), '3:1282:1', 'a minor number of more than 8 bits')
})

t.test('how a volume is shared', async (t) => {
  const alone = { own: undefined, others: [], isUsed: () => false }
  t.equal(shareOf(volume, alone), 'own')
  t.equal(shareOf(volume, { ...alone, own: note(volume.root) }), 'own', 'its own earlier life')
  t.equal(shareOf(volume, { ...alone, others: [note('/elsewhere')] }), 'own', 'a neighbour of other volumes')
  t.equal(
    shareOf(volume, { ...alone, isUsed: () => true }),
    'first',
    'beside an unprotected one, in a new pod',
  )
  t.equal(shareOf(volume, { ...alone, own: note('/'), isUsed: () => true }), 'lived')
  t.equal(shareOf(volume, { ...alone, others: [note('/volumes/data/sub')] }), 'beside')
  t.equal(shareOf(volume, { ...alone, own: note('/'), others: [note(volume.root)] }), 'lived')
})

t.test('which file of a checkpoint takes the place of one that is there', async (t) => {
  const untouched = { changed: '1.0', isSince: false }
  const touched = { changed: '2.0', isSince: true }
  const file: SharedFile = {
    share: 'beside',
    isGiven: false,
    isHeld: false,
    isHeldBeside: false,
    now: untouched,
    known: new Set(['1.0']),
    isNewest: true,
  }
  const rows: [string, Partial<SharedFile>, boolean][] = [
    ['untouched since a neighbour began, and the checkpoint is the newest', {}, true],
    ['of an older checkpoint', { isNewest: false }, false],
    ['of an older checkpoint that holds it', { isNewest: false, isHeld: true }, true],
    ['touched since', { now: touched }, false],
    ['touched since, and held', { now: touched, isHeld: true }, false],
    ['that nobody knows', { known: new Set() }, false],
    ['held by a neighbour', { isHeldBeside: true, isHeld: true }, false],
    ['removed since', { now: undefined }, false],
    ['removed since, and held', { now: undefined, isHeld: true }, false],
    ['never there', { now: undefined, known: new Set(), isNewest: false }, true],
    ['in a new pod, there before', { share: 'first', known: new Set() }, true],
    ['in a new pod, missing', { share: 'first', now: undefined, known: new Set() }, true],
    ['in a new pod, made by a neighbour meanwhile', { share: 'first', now: touched }, false],
    ['in a new pod, held by a neighbour', { share: 'first', isHeldBeside: true }, false],
    ['in a later life', { share: 'lived', isHeld: true }, false],
    ['in a later life, missing', { share: 'lived', now: undefined, known: new Set() }, false],
    ['in a later life, of /dev/shm and its own', { share: 'lived', isGiven: true, isHeld: true }, true],
    ['of /dev/shm, but not held', { share: 'lived', isGiven: true }, false],
    [
      'of /dev/shm, and written to since',
      { share: 'lived', isGiven: true, isHeld: true, now: touched },
      false,
    ],
    [
      'of /dev/shm, and held beside',
      { share: 'lived', isGiven: true, isHeld: true, isHeldBeside: true },
      false,
    ],
  ]
  for (const [what, changes, comes] of rows) t.equal(comesBack({ ...file, ...changes }), comes, what)
})
