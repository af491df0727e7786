/** Each cloud against a server that keeps its protocol, and every way in which that fails. */
import t from 'tap'
import { Aws } from '../../../../sidecar/triggers/clouds/aws.ts'
import { Azure } from '../../../../sidecar/triggers/clouds/azure.ts'
import type { Cloud, Watch } from '../../../../sidecar/triggers/clouds/cloud.ts'
import { Gcp } from '../../../../sidecar/triggers/clouds/gcp.ts'
import type { Notice } from '../../../../sidecar/triggers/notices/notice.ts'
import { until } from '../../../until.ts'
import { AwsServer, AzureServer, GcpServer, MetadataServer, type Quirk } from './metadata-server.ts'

const never = new AbortController().signal
const soon = () => new Date(Math.floor(Date.now() / 1_000) * 1_000 + 120_000)

function watchOf(cloud: Cloud, source: string): Watch {
  const watch = cloud.watches().find((watch) => watch.source === source)
  if (watch === undefined) throw new Error(`no ${source}`)
  return watch
}
const read = (watch: Watch): Promise<Notice[]> => watch.read(never)

t.test('AWS', async (t) => {
  const server = await MetadataServer.start(t, new AwsServer())
  const aws = () => new Aws(server.endpoint)
  t.beforeEach(() => {
    server.behave()
    server.clockAheadMs = 0
    server.asked.length = 0
    server.announced.clear()
    server.tokenSeconds = 21_600
  })

  t.test('is known by its tokens', async (t) => {
    t.equal(await aws().probe(never), true)
    t.same(server.asked, ['PUT /latest/api/token'])
  })

  t.test('announces nothing by 404, and asks for one token for many questions', async (t) => {
    const cloud = aws()
    t.equal(cloud.watches().length, 4)
    for (const watch of [...cloud.watches(), ...cloud.watches()]) t.same(await read(watch), [], watch.source)
    t.equal(server.asked.filter((asked) => asked.startsWith('PUT')).length, 1)
  })

  const at = soon()
  const said: [string, string, string, Partial<Notice>[]][] = [
    ['instance-action', 'spot/instance-action', `{"action": "terminate", "time": "${at.toISOString()}"}`, [{ kind: 'machine-terminated', deadline: at.getTime(), certainty: 'certain' }]], // prettier-ignore
    ['instance-action', 'spot/instance-action', `{"action": "stop", "time": "${at.toISOString()}"}`, [{ kind: 'machine-stopped', deadline: at.getTime() }]], // prettier-ignore
    ['instance-action', 'spot/instance-action', `{"action": "hibernate", "time": "${at.toISOString()}"}`, [{ kind: 'machine-hibernated' }]], // prettier-ignore
    ['instance-action', 'spot/instance-action', '{"action": "vaporize", "time": "soon"}', [{ kind: 'machine-stopped', deadline: undefined, certainty: 'likely' }]], // prettier-ignore
    ['rebalance', 'events/recommendations/rebalance', '{"noticeTime": "2026-10-27T08:22:00Z"}', [{ kind: 'machine-at-risk', certainty: 'possible', deadline: undefined }]], // prettier-ignore
    ['target-lifecycle-state', 'autoscaling/target-lifecycle-state', 'InService', []],
    ['target-lifecycle-state', 'autoscaling/target-lifecycle-state', 'Terminated', [{ kind: 'machine-terminated', deadline: undefined }]], // prettier-ignore
    ['target-lifecycle-state', 'autoscaling/target-lifecycle-state', 'Warmed:Hibernated', [{ kind: 'machine-hibernated' }]], // prettier-ignore
    ['target-lifecycle-state', 'autoscaling/target-lifecycle-state', 'constructor', []],
    ['scheduled', 'events/maintenance/scheduled', '[]', []],
    ['scheduled', 'events/maintenance/scheduled', JSON.stringify([
        { NotBefore: '21 Jan 2027 09:00:43 GMT', Code: 'system-reboot', EventId: 'instance-event-1', State: 'active' },
        { NotBefore: '21 Jan 2027 09:00:43 GMT', Code: 'instance-stop', EventId: 'instance-event-2', State: 'canceled' },
        { NotBefore: '21 Jan 2027 09:00:43 GMT', Code: 'system-maintenance', EventId: 'instance-event-3', State: 'active' },
        { NotBefore: '22 Jan 2027 09:00:43 GMT', Code: 'instance-retirement', EventId: 'instance-event-4' },
      ]), [
        { id: 'instance-event-1', kind: 'machine-rebooted', deadline: Date.parse('2027-01-21T09:00:43Z'), certainty: 'likely' },
        { id: 'instance-event-4', kind: 'machine-stopped', deadline: Date.parse('2027-01-22T09:00:43Z') },
      ]], // prettier-ignore
  ]
  for (const [name, path, body, notices] of said)
    t.test(`says by ${name}: ${body.slice(0, 60)}`, async (t) => {
      server.announced.set(path, body)
      const heard = await read(watchOf(aws(), `aws/${name}`))
      t.match(heard, notices)
      t.equal(heard.length, notices.length)
    })

  t.test('a token that ran out, or was forgotten, is renewed in the same question', async (t) => {
    server.announced.set('spot/instance-action', `{"action": "stop", "time": "${at.toISOString()}"}`)
    const watch = watchOf(aws(), 'aws/instance-action')
    t.equal((await read(watch)).length, 1)
    server.forgetTokens()
    t.equal((await read(watch)).length, 1)
    t.equal(server.asked.filter((asked) => asked.startsWith('PUT')).length, 2)
    // One whose life is shorter than our margin is used for one question.
    server.forgetTokens()
    server.tokenSeconds = 1
    for (let count = 0; count < 3; count++) t.equal((await read(watch)).length, 1)
  })

  t.test('one odd answer withdraws nothing, two in a row do', async (t) => {
    server.announced.set('spot/instance-action', `{"action": "stop", "time": "${at.toISOString()}"}`)
    const watch = watchOf(aws(), 'aws/instance-action')
    const [notice] = await read(watch)
    for (let time = 0; time < 2; time++) {
      server.misbehave(/instance-action/, 'a 404', 1)
      t.same(await read(watch), [notice], 'not yet')
      t.same(await read(watch), [notice], 'said again')
    }
    server.announced.clear()
    t.same(await read(watch), [notice])
    t.same(await read(watch), [])
  })

  t.test("deadlines are by the service's clock, where that is another one", async (t) => {
    server.announced.set('spot/instance-action', `{"action": "stop", "time": "${at.toISOString()}"}`)
    const cloud = aws()
    const watch = watchOf(cloud, 'aws/instance-action')
    const deadline = async () => (await read(watch))[0]?.deadline ?? 0
    t.equal(await deadline(), at.getTime(), 'seconds of a header say nothing about less than that')
    server.clockAheadMs = 60_000
    const shifted = await deadline()
    t.ok(Math.abs(shifted - (at.getTime() - 60_000)) < 5_000, `${shifted - at.getTime()} ms`)
    server.clockAheadMs = 60_500
    t.equal(await deadline(), shifted, 'and does not move with every answer')
    server.clockAheadMs = -60_000
    const back = await deadline()
    t.ok(Math.abs(back - (at.getTime() + 60_000)) < 5_000, `${back - at.getTime()} ms`)
    server.clockAheadMs = 0
    t.equal(await deadline(), at.getTime(), 'the clock was put right')
  })

  t.test('a service that gives no valid token at all is a failure, not silence', async (t) => {
    server.misbehave(/meta-data/, '403')
    await t.rejects(read(watchOf(aws(), 'aws/instance-action')), {
      code: 'metadata-failed',
      data: { failure: 'status', status: 403 },
    })
    server.misbehave(/token/, '503')
    await t.rejects(read(watchOf(aws(), 'aws/instance-action')), {
      code: 'metadata-failed',
      data: { failure: 'status', status: 503 },
    })
    await t.rejects(aws().probe(never), { code: 'metadata-failed', data: { failure: 'status' } })
    server.misbehave(/token/, '403')
    t.equal(await aws().probe(never), false)
  })

  t.test(
    'a hop limit of 1, behind which no token ever arrives, costs no more than a request may',
    async (t) => {
      server.misbehave(/token/, 'hang')
      await t.rejects(aws().probe(never), { code: 'metadata-failed', data: { failure: 'late' } })
    },
  )

  t.test('answers that are not what they should be are refused', async (t) => {
    for (const [name, path, body] of [
      ['instance-action', 'spot/instance-action', '{"action": 7}'],
      ['instance-action', 'spot/instance-action', '[]'],
      ['instance-action', 'spot/instance-action', '{'],
      ['rebalance', 'events/recommendations/rebalance', 'null'],
      ['target-lifecycle-state', 'autoscaling/target-lifecycle-state', '<html>'],
      ['scheduled', 'events/maintenance/scheduled', '{"Code": "system-reboot"}'],
      ['scheduled', 'events/maintenance/scheduled', '[null]'],
    ] as const) {
      server.announced.set(path, body)
      await t.rejects(
        read(watchOf(aws(), `aws/${name}`)),
        { code: 'metadata-failed', data: { failure: 'garbage' } },
        body,
      )
    }
  })
})

t.test('GCP', async (t) => {
  const server = await MetadataServer.start(t, new GcpServer())
  const gcp = (waitSeconds = 60) => new Gcp(server.endpoint, { waitSeconds, now: () => 1_000_000 })
  t.beforeEach(() => {
    server.behave()
    server.gke = false
    server.chunked = false
    server.change('preempted', 'FALSE')
    server.change('maintenance-event', 'NONE')
  })

  t.test('is known by its flavor, both ways', async (t) => {
    t.equal(await gcp().probe(never), true)
    server.misbehave(/instance/, 'an empty body')
    t.equal(await gcp().probe(never), false, 'an answer without the flavor')
    await t.rejects(read(watchOf(gcp(), 'gcp/preempted')), {
      code: 'metadata-failed',
      data: { failure: 'garbage' },
    })
  })

  t.test("is not taken for there where GKE's metadata server hides the notices", async (t) => {
    for (const gke of ['with the flavor', 'without'] as const) {
      server.gke = gke
      await t.rejects(gcp().probe(never), {
        code: 'metadata-failed',
        message: /GKE/,
        data: { failure: 'hidden' },
      })
    }
    server.gke = false
    server.misbehave(/./, 'a 404')
    t.equal(await gcp().probe(never), false, 'somebody else who does not know the path')
  })

  t.test('a change while it waits is heard at once, and once', async (t) => {
    const watch = watchOf(gcp(), 'gcp/preempted')
    t.same(await read(watch), [], 'the first answer comes at once')
    const waiting = read(watch)
    await until('the request to wait', () => server.waiting('preempted') === 1)
    server.change('preempted', 'TRUE')
    const [notice] = await waiting
    t.match(notice, { kind: 'machine-terminated', deadline: 1_030_000, certainty: 'certain' })
    const after = read(watch)
    await until('the request to wait again', () => server.waiting('preempted') === 1)
    server.change('preempted', 'TRUE')
    t.same(await after, [notice], 'the same notice with the same deadline')
  })

  t.test('a change between two questions is not lost', async (t) => {
    const watch = watchOf(gcp(), 'gcp/preempted')
    await read(watch)
    server.change('preempted', 'TRUE')
    t.match(await read(watch), [{ kind: 'machine-terminated' }])
  })

  t.test('no change within its time is an answer, too', async (t) => {
    const watch = watchOf(gcp(1), 'gcp/preempted')
    await read(watch)
    const began = Date.now()
    t.same(await read(watch), [])
    t.ok(Date.now() - began > 900)
  })

  t.test('says what maintenance does, and that it is over', async (t) => {
    const watch = watchOf(gcp(), 'gcp/maintenance-event')
    for (const [value, notices] of [
      ['MIGRATE_ON_HOST_MAINTENANCE', [{ kind: 'machine-frozen' }]],
      [
        'TERMINATE_ON_HOST_MAINTENANCE',
        [{ kind: 'machine-stopped', deadline: 1_060_000, certainty: 'likely' }],
      ],
      ['EVAPORATE', [{ kind: 'machine-at-risk' }]],
      ['NONE', []],
    ] as const) {
      server.chunked = !server.chunked
      server.change('maintenance-event', value)
      const heard = await read(watch)
      t.match(heard, notices, value)
      t.equal(heard.length, notices.length)
    }
  })

  t.test('a maintenance that is announced again has the deadline that it had', async (t) => {
    let now = 1_000_000
    const watch = watchOf(
      new Gcp(server.endpoint, { waitSeconds: 0, now: () => now }),
      'gcp/maintenance-event',
    )
    server.change('maintenance-event', 'TERMINATE_ON_HOST_MAINTENANCE')
    t.match(await read(watch), [{ deadline: 1_060_000 }])
    now += 30_000
    t.match(await read(watch), [{ deadline: 1_060_000 }])
    server.change('maintenance-event', 'NONE')
    t.same(await read(watch), [])
    server.change('maintenance-event', 'TERMINATE_ON_HOST_MAINTENANCE')
    t.match(await read(watch), [{ deadline: 1_090_000 }], 'the next one has its own')
  })

  t.test('after a failure it asks without waiting', async (t) => {
    const watch = watchOf(gcp(), 'gcp/preempted')
    await read(watch)
    server.misbehave(/preempted/, '503', 1)
    await t.rejects(read(watch), { code: 'metadata-failed', data: { status: 503 } })
    server.change('preempted', 'TRUE')
    t.match(await read(watch), [{ kind: 'machine-terminated' }])
  })
})

t.test('Azure', async (t) => {
  const server = await MetadataServer.start(t, new AzureServer())
  const azure = async () => {
    const cloud = new Azure(server.endpoint)
    t.equal(await cloud.probe(never), true)
    return watchOf(cloud, 'azure/scheduledevents')
  }
  t.beforeEach(() => {
    server.behave()
    server.clockAheadMs = 0
    server.schedule()
  })
  const preempt = (more: object = {}) => ({
    EventId: '602d9444-d2cd-49c7-8624-8643e7171297',
    EventType: 'Preempt',
    EventStatus: 'Scheduled',
    Resources: [server.machine],
    NotBefore: soon().toUTCString(),
    ...more,
  })

  t.test('a preemption of this machine is heard, and never approved', async (t) => {
    const watch = await azure()
    t.same(await read(watch), [])
    const event = preempt()
    server.schedule(event)
    const deadline = Date.parse(event.NotBefore)
    t.match(await read(watch), [
      { id: event.EventId, kind: 'machine-terminated', deadline, certainty: 'certain' },
    ])
    server.schedule({ ...event, EventStatus: 'Scheduled', NotBefore: '' })
    t.match(await read(watch), [{ id: event.EventId, deadline }], 'what was said before tells when')
    server.schedule()
    t.match(await read(watch), [{ deadline }], 'one odd answer withdraws nothing')
    t.same(await read(watch), [], 'over, or cancelled')
    t.equal(server.approvals, 0)
    t.notOk(server.asked.some((asked) => !asked.startsWith('GET')))
  })

  t.test('what somebody has approved begins at once, whatever was said before', async (t) => {
    const began = Date.now()
    const clock = { now: began }
    const cloud = new Azure(server.endpoint, { now: () => clock.now })
    await cloud.probe(never)
    const watch = watchOf(cloud, 'azure/scheduledevents')
    const event = preempt({ EventType: 'Redeploy', NotBefore: new Date(began + 600_000).toUTCString() })
    server.schedule(event)
    await read(watch)
    const pass = (ms: number) => {
      clock.now += ms
      server.clockAheadMs += ms
    }
    pass(5_000)
    for (const NotBefore of ['', event.NotBefore, '']) {
      server.schedule({ ...event, EventStatus: 'Started', NotBefore })
      t.match(await read(watch), [{ id: event.EventId, deadline: began + 5_000 }])
      pass(1_000)
    }
    const late = preempt({ EventId: 'late', NotBefore: new Date(began - 60_000).toUTCString() })
    server.schedule({ ...late, EventStatus: 'Started' })
    const notice = (await read(watch)).find(({ id }) => id === 'late')
    t.equal(notice?.deadline, Date.parse(late.NotBefore), 'or when it was said to, if that is over')
    server.schedule({ ...preempt({ EventId: 'unheard of' }), EventStatus: 'Started', NotBefore: '' })
    t.match(await read(watch), [{ id: 'unheard of', deadline: clock.now }])
  })

  t.test("deadlines are by the service's clock, where that is another one", async (t) => {
    const watch = await azure()
    const event = preempt()
    server.schedule(event)
    t.match(await read(watch), [{ deadline: Date.parse(event.NotBefore) }])
    server.clockAheadMs = 60_000
    const [notice] = await read(watch)
    server.clockAheadMs = 0
    const shift = (notice?.deadline ?? 0) - Date.parse(event.NotBefore)
    t.ok(Math.abs(shift + 60_000) < 5_000, `${shift} ms, although the document is the same`)
  })

  t.test('events of other machines are theirs', async (t) => {
    const watch = await azure()
    server.schedule(preempt({ Resources: ['aks-spot-31415926-vmss_1', `${server.machine}0`] }))
    t.same(await read(watch), [])
    server.schedule(preempt({ Resources: ['another', server.machine.toUpperCase()] }))
    t.equal((await read(watch)).length, 1, 'names are not told apart by case')
  })

  t.test('each type is what it does to the machine', async (t) => {
    const watch = await azure()
    for (const [EventType, kind, certainty] of [
      ['Freeze', 'machine-frozen', 'likely'],
      ['Reboot', 'machine-rebooted', 'likely'],
      ['Redeploy', 'machine-redeployed', 'likely'],
      ['Terminate', 'machine-terminated', 'certain'],
      ['Evaporate', 'machine-at-risk', 'likely'],
      ['__proto__', 'machine-at-risk', 'likely'],
    ] as const) {
      server.schedule(preempt({ EventType }))
      t.match(await read(watch), [{ kind, certainty }], EventType)
    }
  })

  t.test('a document of the same incarnation says the same', async (t) => {
    const watch = await azure()
    server.schedule(preempt())
    const before = await read(watch)
    server.schedule()
    server.incarnation--
    t.equal(await read(watch), before, 'and is not even looked at')
  })

  t.test('the first call may take its time', async (t) => {
    const slow = await MetadataServer.start(t, new AzureServer())
    slow.firstMs = 6_000
    const cloud = new Azure(slow.endpoint)
    await cloud.probe(never)
    t.same(await read(watchOf(cloud, 'azure/scheduledevents')), [], 'longer than later ones may')
  })

  t.test('documents that are not what they should be are refused', async (t) => {
    const watch = await azure()
    for (const events of [[null], 'Events', [{ EventId: 7 }], [preempt({ Resources: 'me' })]]) {
      server.schedule(...(events as never[]))
      await t.rejects(
        read(watch),
        { code: 'metadata-failed', data: { failure: 'garbage' } },
        JSON.stringify(events),
      )
    }
  })
})

const failures: [Quirk, string][] = [
  ['hang', 'late'],
  ['a slow first byte', 'late'],
  ['garbage', 'garbage'],
  ['a garbage body', 'garbage'],
  ['an empty body', 'garbage'],
  ['half a body', 'garbage'],
  ['a huge body', 'too-large'],
  ['a huge head', 'too-large'],
  ['a redirect', 'status'],
  ['a reset', 'unreachable'],
  ['400', 'status'],
  ['403', 'status'],
  ['429', 'status'],
  ['500', 'status'],
  ['503', 'status'],
]
t.test(
  'every cloud tells every failure for what it is, in time, and goes on with the next answer',
  async (t) => {
    const [aws, gcp, azure] = [new AwsServer(), new GcpServer(), new AzureServer()]
    for (const server of [aws, gcp, azure]) await MetadataServer.start(t, server)
    const action = JSON.stringify({ action: 'terminate', time: soon().toISOString() })
    aws.announced.set('spot/instance-action', action)
    gcp.change('preempted', 'TRUE')
    azure.schedule({ EventId: 'e', EventType: 'Preempt', EventStatus: 'Scheduled', Resources: [azure.machine], NotBefore: soon().toUTCString() }) // prettier-ignore
    const clouds = [
      { server: aws, cloud: new Aws(aws.endpoint), source: 'aws/instance-action', path: /instance-action/ },
      {
        server: gcp,
        cloud: new Gcp(gcp.endpoint, { waitSeconds: 1 }),
        source: 'gcp/preempted',
        path: /preempted/,
      },
      {
        server: azure,
        cloud: new Azure(azure.endpoint),
        source: 'azure/scheduledevents',
        path: /scheduledevents/,
      },
    ]
    await Promise.all(
      clouds.map(async ({ server, cloud, source, path }) => {
        await cloud.probe(never)
        const watch = watchOf(cloud, source)
        t.equal((await read(watch)).length, 1)
        for (const [quirk, failure] of failures) {
          server.misbehave(path, quirk)
          await t.rejects(read(watch), { code: 'metadata-failed', data: { failure } }, `${source}: ${quirk}`)
          server.behave()
          t.match(await read(watch), [{ kind: 'machine-terminated' }], `${source}: after ${quirk}`)
        }
      }),
    )
  },
)

t.test('who stops asking is not waited for', async (t) => {
  const server = await MetadataServer.start(t, new GcpServer())
  const stop = new AbortController()
  const watch = watchOf(new Gcp(server.endpoint), 'gcp/preempted')
  await watch.read(stop.signal)
  const waiting = watch.read(stop.signal)
  await until('the request to wait', () => server.waiting('preempted') === 1)
  stop.abort()
  await t.rejects(waiting, { code: 'metadata-failed', data: { failure: 'aborted' } })
  await t.rejects(watch.read(stop.signal), { code: 'metadata-failed', data: { failure: 'aborted' } })
})
