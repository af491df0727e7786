import fc from 'fast-check'
import t from 'tap'
import { Deadline } from '../../../src/deadline.ts'
import type { CheckpointRequest } from '../../../sidecar/checkpoint/request.ts'
import {
  doingOf,
  newContainer,
  reduce,
  type Container,
  type ContainerEvent,
  type ContainerState,
  type Effect,
} from '../../../sidecar/container/state.ts'

const resume: CheckpointRequest = {
  trigger: 'manual',
  reason: 'r',
  afterwards: 'resume',
  deadline: Deadline.in(1_000),
}
const end: CheckpointRequest = { ...resume, afterwards: 'end' }
const running = { at: 'running', launcherPid: 7, root: 9, onTrial: undefined } as const
const onTrial = { ...running, onTrial: 'ckpt' } as const
const checkpointing = { ...running, at: 'checkpointing', afterwards: 'resume', goneWith: undefined } as const
const ending = { ...checkpointing, afterwards: 'end' } as const
const take = (request: CheckpointRequest): Effect => ({ do: 'take', launcherPid: 7, root: 9, request })
const refuse: Effect = { do: 'refuse', reason: 'not-running' }
const dumped: ContainerEvent = { event: 'dumped', root: 9 }
const taken = (ended: boolean): ContainerEvent => ({ event: 'taken', root: 9, ended, checkpoint: 'new' })
const record = (code: number, checkpoint = 'ckpt'): Effect => ({ do: 'record-early-death', checkpoint, code })

type Row = [name: string, from: ContainerState, event: ContainerEvent, to: ContainerState, effects: Effect[]]
const preparing = { at: 'preparing', launcherPid: 7, life: '7@1' } as const
const suspect = { ...onTrial, suspects: ['ckpt'] } as const
const absent = { at: 'absent' } as const
const keptOpen = { at: 'kept-open', launcherPid: 7 } as const
const waiting: ContainerEvent = { event: 'waiting', launcherPid: 7, life: '7@1' }
const asked: ContainerEvent = { event: 'asked', request: resume }
const gone = (code: number): ContainerEvent => ({ event: 'gone', code })

const table: Row[] = [
  [
    'what was held in vain is let go',
    keptOpen,
    { event: 'end-kept-open' },
    { at: 'gone', code: 137 },
    [{ do: 'let-end' }],
  ],
  ['what runs is not', onTrial, { event: 'end-kept-open' }, onTrial, []],
  [
    'a launcher that waits is prepared for',
    absent,
    waiting,
    preparing,
    [{ do: 'prepare', launcherPid: 7, life: '7@1' }],
  ],
  ['the same launcher waiting again changes nothing', preparing, waiting, preparing, []],
  [
    'another launcher is prepared for anew',
    preparing,
    { event: 'waiting', launcherPid: 8, life: '8@2' },
    { at: 'preparing', launcherPid: 8, life: '8@2' },
    [{ do: 'prepare', launcherPid: 8, life: '8@2' }],
  ],
  [
    'also one that has the number of the one before',
    preparing,
    { event: 'waiting', launcherPid: 7, life: '7@2' },
    { at: 'preparing', launcherPid: 7, life: '7@2' },
    [{ do: 'prepare', launcherPid: 7, life: '7@2' }],
  ],
  [
    'a container that was restarted after its end is prepared for',
    { at: 'gone', code: 1 },
    waiting,
    preparing,
    [{ do: 'prepare', launcherPid: 7, life: '7@1', inOrder: true }],
  ],
  ['a start is noted', preparing, { event: 'running', launcherPid: 7, root: 9 }, running, []],
  [
    'a restored application is on trial',
    preparing,
    { event: 'running', launcherPid: 7, root: 9, restoredFrom: 'ckpt' },
    onTrial,
    [],
  ],
  ['a reconnection leaves it on trial', onTrial, { event: 'running', launcherPid: 7, root: 9 }, onTrial, []],
  [
    'another root is not on the trial of the one before',
    onTrial,
    { event: 'running', launcherPid: 7, root: 10 },
    { ...running, root: 10 },
    [],
  ],
  [
    'a reconnection does not end a checkpoint that is under way',
    checkpointing,
    { event: 'running', launcherPid: 7, root: 9 },
    checkpointing,
    [],
  ],
  ['a running application can be checkpointed', running, asked, checkpointing, [take(resume)]],
  ['and ended by it', running, { event: 'asked', request: end }, ending, [take(end)]],
  ['a second checkpoint at once is refused', checkpointing, asked, checkpointing, [refuse]],
  ['nothing is there to checkpoint while it is prepared', preparing, asked, preparing, [refuse]],
  ['nor when its container is kept open', keptOpen, asked, keptOpen, [refuse]],
  ['a checkpoint that ended it has the launcher stay', ending, taken(true), keptOpen, [{ do: 'keep-open' }]],
  ['one that did not lets it run on', checkpointing, taken(false), running, []],
  ['what is dumped runs on, and is stored beside that', checkpointing, dumped, running, []],
  [
    'what had ended under the dump ends then',
    { ...checkpointing, goneWith: 3 },
    dumped,
    { at: 'gone', code: 3 },
    [{ do: 'let-end' }],
  ],
  [
    'what is stored of a running application ends its trial',
    onTrial,
    taken(false),
    running,
    [{ do: 'record-proved-alive', checkpoint: 'ckpt' }],
  ],
  [
    'what crashes while its checkpoint is stored ends at once',
    running,
    gone(7),
    { at: 'gone', code: 7 },
    [{ do: 'let-end' }],
  ],
  [
    'a checkpoint that is stored after that changes nothing',
    { at: 'gone', code: 7 },
    taken(false),
    { at: 'gone', code: 7 },
    [],
  ],
  ['nor does one whose storing failed', onTrial, { event: 'failed', root: 9 }, onTrial, []],
  [
    'the dump of a tree that was replaced since changes nothing',
    { ...checkpointing, root: 10 },
    dumped,
    { ...checkpointing, root: 10 },
    [],
  ],
  ['a failed one lets it run on', ending, { event: 'failed', root: 9 }, running, []],
  [
    'the outcome of a checkpoint of a tree that was replaced since changes nothing',
    { ...checkpointing, root: 10 },
    taken(true),
    { ...checkpointing, root: 10 },
    [],
  ],
  [
    'a container killed whole while on trial died early',
    onTrial,
    { event: 'waiting', launcherPid: 8, life: '8@2' },
    { at: 'preparing', launcherPid: 8, life: '8@2' },
    [record(137), { do: 'prepare', launcherPid: 8, life: '8@2' }],
  ],
  [
    'a newer checkpoint ends the trial of the older',
    { ...checkpointing, onTrial: 'ckpt' },
    taken(false),
    running,
    [{ do: 'record-proved-alive', checkpoint: 'ckpt' }],
  ],
  [
    'a failed one leaves it on trial',
    { ...checkpointing, onTrial: 'ckpt' },
    { event: 'failed', root: 9 },
    onTrial,
    [],
  ],
  [
    'an end during a checkpoint has the launcher stay until its outcome is known',
    ending,
    gone(137),
    { ...ending, goneWith: 137 },
    [{ do: 'keep-open' }],
  ],
  [
    'an application that ended under a failing checkpoint is let go',
    { ...checkpointing, goneWith: 3 },
    { event: 'failed', root: 9 },
    { at: 'gone', code: 3 },
    [{ do: 'let-end' }],
  ],
  [
    'an application that died on trial under a failing checkpoint died early',
    { ...checkpointing, onTrial: 'ckpt', goneWith: 3 },
    { event: 'failed', root: 9 },
    { at: 'gone', code: 3 },
    [record(3), { do: 'let-end' }],
  ],
  [
    'but one whose CRIU took it along (SIGTRAP) did not',
    { ...checkpointing, onTrial: 'ckpt', goneWith: 133 },
    { event: 'failed', root: 9 },
    { at: 'gone', code: 133 },
    [{ do: 'let-end' }],
  ],
  [
    'an early death is recorded before the launcher leaves',
    onTrial,
    gone(139),
    { at: 'gone', code: 139 },
    [record(139), { do: 'let-end' }],
  ],
  ['a death later is not', running, gone(139), { at: 'gone', code: 139 }, [{ do: 'let-end' }]],
  [
    'status 0 ends the lineage, on trial too',
    onTrial,
    gone(0),
    { at: 'gone', code: 0 },
    [{ do: 'record-finished' }, { do: 'let-end' }],
  ],
  [
    'a launcher that reconnects keeps its container open again',
    keptOpen,
    gone(137),
    keptOpen,
    [{ do: 'keep-open' }],
  ],
  [
    'a checkpoint that ends after the container was replaced changes nothing',
    preparing,
    taken(true),
    preparing,
    [],
  ],
  [
    'it proved itself alive',
    onTrial,
    { event: 'proved-alive' },
    running,
    [{ do: 'record-proved-alive', checkpoint: 'ckpt' }],
  ],
  ['restored, it fills its memory again: a suspect', onTrial, { event: 'fills-again' }, suspect, []],
  ['what is not on trial is no suspect', running, { event: 'fills-again' }, running, []],
  [
    'time does not prove a suspect good, but further checkpoints may follow',
    suspect,
    { event: 'proved-alive' },
    { ...running, suspects: ['ckpt'] },
    [],
  ],
  [
    'however late it dies, it dies of the suspects',
    { ...running, suspects: ['ckpt', 'newer'] },
    gone(137),
    { at: 'gone', code: 137 },
    [record(137), record(137, 'newer'), { do: 'let-end' }],
  ],
  [
    'a whole container that is killed, too',
    { ...running, suspects: ['ckpt'] },
    { event: 'waiting', launcherPid: 8, life: '8@2' },
    { at: 'preparing', launcherPid: 8, life: '8@2' },
    [record(137), { do: 'prepare', launcherPid: 8, life: '8@2' }],
  ],
  ['each once', suspect, gone(137), { at: 'gone', code: 137 }, [record(137), { do: 'let-end' }]],
  [
    'finished work has no suspects',
    suspect,
    gone(0),
    { at: 'gone', code: 0 },
    [{ do: 'record-finished' }, { do: 'let-end' }],
  ],
  [
    'a checkpoint of a memory that is still full is a suspect as well',
    { ...checkpointing, suspects: ['ckpt'] },
    taken(false),
    { ...running, suspects: ['ckpt', 'new'] },
    [],
  ],
  [
    'a reconnection leaves the suspects what they are',
    { ...running, suspects: ['ckpt'] },
    { event: 'running', launcherPid: 7, root: 9 },
    { ...running, suspects: ['ckpt'] },
    [],
  ],
  [
    'another root has none',
    { ...running, suspects: ['ckpt'] },
    { event: 'running', launcherPid: 7, root: 10 },
    { ...running, root: 10 },
    [],
  ],
  [
    'memory that has room again clears them',
    { ...running, suspects: ['ckpt', 'newer'] },
    { event: 'relieved' },
    running,
    ['ckpt', 'newer'].map((checkpoint) => ({ do: 'record-proved-alive', checkpoint })),
  ],
  ['but not what is on trial', suspect, { event: 'relieved' }, onTrial, []],
  ['what is not on trial has nothing to prove', running, { event: 'proved-alive' }, running, []],
]

for (const [name, from, event, to, effects] of table)
  t.test(name, async (t) => {
    const step = reduce({ state: from, ending: false }, event)
    t.strictSame(step.container.state, to)
    t.strictSame(step.effects, effects)
  })

t.test('told to end, an exit is neither finished work nor a bad checkpoint', async (t) => {
  for (const code of [0, 1, 143]) {
    const { container } = reduce({ state: onTrial, ending: false }, { event: 'ending' })
    t.strictSame(reduce(container, gone(code)).effects, [{ do: 'let-end' }], `code ${code}`)
  }
})

t.test('a container that starts anew is not ending', async (t) => {
  t.equal(reduce({ state: { at: 'gone', code: 1 }, ending: true }, waiting).container.ending, false)
})

t.test('nor was it killed by a restore, where it was told to end in the midst of one', async (t) => {
  const { container } = reduce({ state: preparing, ending: false }, { event: 'ending' })
  const next = { launcherPid: 7, life: '7@2' }
  t.match(reduce(container, { event: 'waiting', ...next }).effects, [{ ...next, inOrder: true }])
})

const pid = fc.integer({ min: 2, max: 4 })
const anyEvent: fc.Arbitrary<ContainerEvent> = fc.oneof(
  fc
    .record({ launcherPid: pid, began: fc.integer({ min: 1, max: 2 }) })
    .map(({ launcherPid, began }): ContainerEvent => ({
      event: 'waiting',
      launcherPid,
      life: `${launcherPid}@${began}`,
    })),
  fc
    .record({ launcherPid: pid, root: pid })
    .map(({ launcherPid, root }): ContainerEvent => ({ event: 'running', launcherPid, root })),
  pid.map((root): ContainerEvent => ({ event: 'running', launcherPid: 2, root, restoredFrom: 'ckpt' })),
  fc.constantFrom(0, 1, 137).map(gone),
  fc.constantFrom<ContainerEvent>(
    { event: 'ending' },
    { event: 'asked', request: resume },
    { event: 'asked', request: end },
    taken(true),
    taken(false),
    { event: 'failed', root: 9 },
    { event: 'dumped', root: 9 },
    { event: 'end-kept-open' },
    { event: 'proved-alive' },
  ),
)
type Seen = { before: Container; event: ContainerEvent; after: Container; effects: Effect[] }
function walk(events: ContainerEvent[]): Seen[] {
  let container = newContainer
  return events.map((event) => {
    const step = reduce(container, event)
    const seen = { before: container, event, after: step.container, effects: step.effects }
    container = step.container
    return seen
  })
}
const always = (holds: (seen: Seen) => boolean) =>
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => walk(events).every(holds)),
    { numRuns: 2_000 },
  )
const does = ({ effects }: Seen, ...kinds: Effect['do'][]) => effects.filter((it) => kinds.includes(it.do))

t.test('whatever happens, in any order', async (t) => {
  always(
    (seen) =>
      does(seen, 'take').length === 0 ||
      (does(seen, 'take').length === 1 &&
        seen.before.state.at === 'running' &&
        seen.after.state.at === 'checkpointing'),
  )
  t.pass('a checkpoint is taken only of what runs, and one at a time')
  always(
    (seen) =>
      does(seen, 'prepare').length === 0 ||
      (seen.event.event === 'waiting' && seen.after.state.at === 'preparing'),
  )
  t.pass('only a launcher that waits is prepared for')
  always((seen) => does(seen, 'prepare', 'take').length <= 1)
  t.pass('nothing is prepared and dumped at once')
  always((seen) => does(seen, 'record-finished').length === 0 || !seen.before.ending)
  t.pass('an application that was told to end never counts as finished')
  always(
    (seen) =>
      does(seen, 'record-early-death').length === 0 ||
      ('onTrial' in seen.before.state && seen.before.state.onTrial !== undefined && !seen.before.ending),
  )
  t.pass('only what is on trial dies early')
  always(
    (seen) =>
      seen.event.event !== 'gone' || ['gone', 'kept-open', 'checkpointing'].includes(seen.after.state.at),
  )
  t.pass('an end is taken note of in every state')
  always((seen) => seen.event.event !== 'gone' || does(seen, 'let-end', 'keep-open').length === 1)
  t.pass('a launcher whose application is gone is always told to stay or to leave, not both')
  always((seen) => seen.event.event !== 'asked' || does(seen, 'take', 'refuse').length === 1)
  t.pass('a request is taken up or refused')
  always(({ effects }) => {
    const at = effects.findIndex((it) => it.do === 'let-end')
    return at < 0 || at === effects.length - 1
  })
  t.pass('what must be recorded is recorded before the launcher leaves')
  always(
    (seen) =>
      seen.after.state.at !== 'kept-open' ||
      seen.before.state.at === 'kept-open' ||
      seen.event.event === 'taken',
  )
  t.pass('only a complete checkpoint ends an application')
})

t.test('an application that was told to end is not saved to go on', async (t) => {
  const told: Container = { state: running, ending: true }
  t.strictSame(reduce(told, asked).effects, [{ do: 'refuse', reason: 'pod-ending' }])
  t.match(reduce(told, { event: 'asked', request: end }).effects, [{ do: 'take' }])
})

t.test('what an application is doing is known while a checkpoint of it is under way, too', async (t) => {
  t.equal(doingOf(running, 'over', false), 'runs')
  t.equal(doingOf(running, 'over', true), 'being-saved')
  t.equal(doingOf(checkpointing, 'not-yet', false), 'to-be-saved')
  t.equal(doingOf(checkpointing, 'now', false), 'stopped')
  t.equal(doingOf(checkpointing, 'over', false), 'being-saved')
  t.equal(doingOf(ending, 'not-yet', false), 'being-ended')
  t.equal(doingOf({ ...ending, goneWith: 137 }, 'over', false), 'gone')
  t.equal(doingOf(keptOpen, 'now', false), 'gone')
})
