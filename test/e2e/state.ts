/** The pod that carries state of many kinds (test/programs/state.py), and what it reports of them. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Image } from '../harness/image.ts'
import type { PodManifest } from '../harness/manifest.ts'
import type { Pod } from '../harness/pod.ts'
import { application, deadlineMs, podOf, type Stage } from './support.ts'

const modules = ['process', 'files', 'volumes', 'open', 'memory', 'messages', 'network', 'time']
export const statePrograms = [
  'state.py',
  'state_report.py',
  'state_peer.py',
  ...modules.map((name) => `state_${name}.py`),
]

/** What the program finds in its image, and changes. */
export function withImageData(base: Image, layer: string): Image {
  const data = join(layer, 'data')
  for (const folder of [
    'folder',
    'tree/a/b',
    'tree/c',
    'anew/old',
    'to-file/sub',
    'to-file-empty',
    'to-link',
    'rename',
  ])
    mkdirSync(join(data, folder), { recursive: true })
  const files = [
    ...['keep', 'change', 'overwrite', 'truncate', 'delete', 'rename', 'mode-only', 'time-only'].map((name) => `${name}.txt`),
    'delete me * [a]\n', 'delete me * kept [a]\n', 'folder/x', 'tree/a/b/x', 'tree/c/y', 'tree/z', 'anew/x', 'anew/old/y',
    'to-file/x', 'to-file/sub/y', 'to-folder', 'to-link/x', 'rename/y',
  ] // prettier-ignore
  for (const name of files) writeFileSync(join(data, name), 'of the image\n')
  symlinkSync('folder', join(data, 'link-to-folder'))
  chmodSync(join(data, 'mode-only.txt'), 0o644)
  return { layers: [...base.layers, layer], config: base.config }
}

const fill = `mkdir -p /filled/rename/sub && cd /filled && for f in change delete rename/x rename/sub/y; do echo filled > $f; done
for f in random held again; do head -c 8 /dev/urandom | od -An -tx1 > $f; done`

const mount = (name: string, mountPath: string) => ({ name, mountPath })

export function statePod(stage: Stage): PodManifest {
  for (const name of ['control', 'external']) mkdirSync(join(stage.folder, name), { recursive: true })
  return podOf({
    command: ['python3', '/app/state.py'],
    env: [{ name: 'OF_POD', value: 'given' }],
    volumeMounts: [
      mount('disk', '/scratch disk/'),
      mount('memory', '/scratch-memory'),
      mount('filled', '/filled'),
      mount('shared', '/shared'),
      mount('control', '/control'),
      mount('external', '/external'),
      mount('secret', '/secret'),
      mount('settings', '/settings'),
    ],
    spec: {
      initContainers: [
        {
          name: 'fill',
          image: 'app',
          command: ['sh', '-c', fill],
          volumeMounts: [mount('filled', '/filled')],
        },
      ],
      containers: [
        {
          name: 'peer',
          image: 'app',
          command: ['python3', '/app/state_peer.py'],
          volumeMounts: [mount('shared', '/shared')],
        },
      ],
      volumes: [
        { name: 'disk', emptyDir: {} },
        { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '64Mi' } },
        { name: 'filled', emptyDir: {} },
        { name: 'shared', emptyDir: {} },
        { name: 'control', hostPath: { path: join(stage.folder, 'control') } },
        { name: 'external', hostPath: { path: join(stage.folder, 'external') } },
        { name: 'secret', secret: { secretName: 'token' } },
        { name: 'settings', configMap: { name: 'settings' } },
      ],
    },
  })
}

/** What is found of each kind: `ok` or what is wrong, and a word more. */
export type Round = Map<string, { ok: boolean; found: string }>

/** Asks the program for its `number`th look at its state, the first being 1. */
export async function look(stage: Stage, pod: Pod, number: number): Promise<Round> {
  writeFileSync(join(stage.folder, 'control', `ask-${number}`), '')
  await pod.waitForLog(application, new RegExp(`^round ${number} done$`), { deadlineMs })
  const round: Round = new Map()
  for (const { text } of pod.logLines(application)) {
    const match = new RegExp(`^round ${number} (ok|not ok) ([^:]+): ?(.*)$`).exec(text)
    if (match !== null) round.set(match[2] ?? '', { ok: match[1] === 'ok', found: match[3] ?? '' })
  }
  return round
}

/** One assertion a kind; a kind that is missing from the report is one that is not ok. */
export function assertAll(t: Test, kinds: readonly string[], round: Round): void {
  for (const kind of kinds) {
    const { ok, found } = round.get(kind) ?? { ok: false, found: 'it was not reported' }
    t.ok(ok, kind, { found })
  }
}
