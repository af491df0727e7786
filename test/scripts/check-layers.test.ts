import t from 'tap'
import {
  circleProblems,
  launcherProblems,
  layeringProblems,
  roomProblems,
  sharedProblems,
} from '../../scripts/check-layers.ts'

t.test('imports that cross a layer’s line are named, others are not', async (t) => {
  const root = t.testdir({
    src: { 'errors.ts': '', 'bad.ts': "import { x } from '../webhook/x.ts'" },
    webhook: { 'x.ts': "import { e } from '../src/errors.ts'\nimport fastify from 'fastify'" },
    sidecar: {
      criu: { 'deep.ts': "import { e } from '../../src/errors.ts'\nimport { f } from '../near.ts'" },
      'near.ts': "const late = await import('../webhook/x.ts')\nexport { y } from '../test/y.ts'",
    },
  })
  t.same(layeringProblems(root), [
    'src/bad.ts imports webhook/x.ts: src/ may import itself only',
    'sidecar/near.ts imports webhook/x.ts: sidecar/ may import src and itself only',
    'sidecar/near.ts imports test/y.ts: sidecar/ may import src and itself only',
  ])
})

t.test('inside the sidecar imports go down only, and only entry files are on its top floor', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 21 }, (_, at) => [`a${at}.ts`, '']))
  const root = t.testdir({
    sidecar: {
      'main.ts': "import { s } from './report/status.ts'",
      'stray.ts': '',
      proc: { 'tree.ts': "import { k } from '../container/keeper.ts'" },
      container: { 'keeper.ts': "import { t } from '../proc/tree.ts'" },
      report: { 'status.ts': "import type { K } from '../container/keeper.ts'" },
      triggers: {
        clouds: { 'aws.ts': "import type { N } from '../notices/notice.ts'" },
        notices: { 'notice.ts': "import { a } from '../clouds/aws.ts'" },
        memory: many,
      },
    },
  })
  t.same(roomProblems(root).sort(), [
    'sidecar/proc/tree.ts imports sidecar/container/keeper.ts: proc/ may import itself only',
    'sidecar/stray.ts is in no room: sidecar/ itself holds main.ts, restore-main.ts, sweep-main.ts only',
    'sidecar/triggers/memory/ holds 21 files, at most 20 are allowed',
    'sidecar/triggers/notices/notice.ts imports sidecar/triggers/clouds/aws.ts: triggers/notices/ may import itself, container, checkpoint, proc only',
  ])
})

t.test('the top floor of src/ imports no folder of it', async (t) => {
  const root = t.testdir({
    src: {
      'manifest.ts': "import { put } from './store/put.ts'",
      store: { 'put.ts': "import { e } from '../errors.ts'\nimport { l } from './list.ts'" },
    },
  })
  t.same(sharedProblems(root), [
    'src/manifest.ts imports src/store/put.ts: the top floor of src/ imports none of its folders',
  ])
})

t.test('a circle of imports is told, even one of types', async (t) => {
  const root = t.testdir({
    sidecar: {
      proc: {
        'a.ts': "import type { B } from './b.ts'",
        'b.ts': "import type { C } from './c.ts'",
        'c.ts': "import type { A } from './a.ts'",
        'd.ts': "import type { A } from './a.ts'",
      },
    },
    webhook: { 'e.ts': "import type { F } from './f.ts'", 'f.ts': "import type { E } from './e.ts'" },
  })
  t.same(circleProblems(root), [
    'a circle of imports: webhook/e.ts → webhook/f.ts → webhook/e.ts',
    'a circle of imports: sidecar/proc/a.ts → sidecar/proc/b.ts → sidecar/proc/c.ts → sidecar/proc/a.ts',
  ])
})

t.test(
  'a mode of the launcher includes its own headers and those of shared/, and nothing else',
  async (t) => {
    const many = Object.fromEntries(Array.from({ length: 21 }, (_, at) => [`a${at}.c`, '']))
    const root = t.testdir({
      launcher: {
        'main.c': '#include "modes.h"\n#include "shared/clock.h"\n#include "run/run.h"\n#include <stdio.h>',
        'modes.h': '',
        'stray.c': '',
        run: {
          'run.c': '#include "run.h"\n#include "modes.h"\n#include "shared/wire/wire.h"\n#include <unistd.h>',
          'run.h': '',
          'adopt.c': '#include "supervise/supervise.h"\n  # include <supervise/supervise.h>',
        },
        supervise: { 'supervise.h': '', 'supervise.c': '#include "../run/run.h"' },
        shared: {
          'clock.h': '#include "run/run.h"\n#include "modes.h"',
          wire: { 'wire.h': '#include "shared/clock.h"' },
        },
        many,
      },
    })
    t.same(launcherProblems(root), [
      'launcher/main.c includes run/run.h: main.c may include shared/, modes.h and its own headers only',
      'launcher/run/adopt.c includes supervise/supervise.h: run/ may include shared/, modes.h and its own headers only',
      'launcher/run/adopt.c includes supervise/supervise.h: run/ may include shared/, modes.h and its own headers only',
      'launcher/shared/clock.h includes run/run.h: shared/ may include itself only',
      'launcher/shared/clock.h includes modes.h: shared/ may include itself only',
      'launcher/stray.c is in no folder: launcher/ itself holds main.c and modes.h only',
      'launcher/supervise/supervise.c includes run/run.h: supervise/ may include shared/, modes.h and its own headers only',
      'launcher/many/ holds 21 files, at most 20 are allowed',
    ])
  },
)

t.test('this repository keeps to its layers', async (t) => {
  const root = process.cwd()
  const checks = [layeringProblems, roomProblems, circleProblems, launcherProblems]
  t.same(
    checks.flatMap((problemsOf) => problemsOf(root)),
    [],
  )
})
