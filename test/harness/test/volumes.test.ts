import { chmodSync, existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { busyboxNode, never, shell } from './busybox-node.ts'

const mount = (name: string) => ({ name, mountPath: `/${name}` })

t.test('an emptyDir is open to all, shared by the containers, and gone with the pod', async (t) => {
  const run = await busyboxNode(t)
  const volumeMounts = [{ name: 'v', mountPath: '/v' }]
  const pod = await run({
    ...never,
    volumes: [{ name: 'v', emptyDir: {} }],
    containers: [
      shell('writer', 'stat -c %a /v; echo hello >/v/file', {
        volumeMounts,
        securityContext: { runAsUser: 1000 },
      }),
      shell('reader', 'until cat /v/file; do sleep 0.05; done 2>/dev/null; touch /v/x || echo read-only', {
        volumeMounts: [{ name: 'v', mountPath: '/v', readOnly: true }],
      }),
    ],
  })
  const folder = pod.volumeFolder('v')
  t.ok(existsSync(folder))
  await pod.waitUntilEnded()
  t.equal(pod.logs('writer'), '777\n')
  t.match(pod.logs('reader'), /^hello\n/)
  // Which of its streams is heard first nobody says.
  t.match(pod.logs('reader'), /^read-only$/m)
  t.notOk(existsSync(folder))
})

t.test('an emptyDir in memory is a tmpfs of its size, which all containers and the node see', async (t) => {
  const run = await busyboxNode(t)
  const volumeMounts = [{ name: 'm', mountPath: '/m' }]
  const script = `df -k /m | tail -1 | tr -s ' ' | cut -d' ' -f1,2; echo hi >/m/file; dd if=/dev/zero of=/m/big bs=1M count=4 2>/dev/null || echo full`
  const pod = await run({
    ...never,
    volumes: [{ name: 'm', emptyDir: { medium: 'Memory', sizeLimit: '2Mi' } }],
    containers: [
      shell('app', `${script}; sleep 60`, { volumeMounts }),
      shell('other', `until cat /m/file 2>/dev/null; do sleep 0.05; done; sleep 60`, { volumeMounts }),
    ],
  })
  await pod.waitForLog('app', /full/)
  t.match(pod.logs('app'), /^tmpfs 2048\n/)
  await pod.waitForLog('other', /hi/)
  t.equal(readFileSync(join(pod.volumeFolder('m'), 'file'), 'utf8'), 'hi\n')
})

t.test(
  'projected, config map, secret and downward API volumes hold what they should, read-only, behind ..data',
  async (t) => {
    const run = await busyboxNode(t)
    const script = `cd /p; cat token ca.crt name labels; readlink token; cat /c/key; cat /s/user; stat -L -c %a /s/user
    for d in /p /c /s; do touch $d/x 2>/dev/null || echo "$d read-only"; done; grep -c ' /p ' /proc/mounts`
    const pod = await run(
      {
        ...never,
        volumes: [
          {
            name: 'p',
            projected: {
              sources: [
                { serviceAccountToken: { path: 'token' } },
                { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
                {
                  downwardAPI: {
                    items: [
                      { path: 'name', fieldRef: { fieldPath: 'metadata.name' } },
                      { path: 'labels', fieldRef: { fieldPath: "metadata.labels['no']" } },
                    ],
                  },
                },
              ],
            },
          },
          { name: 'c', configMap: { name: 'settings' } },
          { name: 's', secret: { secretName: 'login', defaultMode: 0o400 } },
        ],
        containers: [shell('app', script, { volumeMounts: ['p', 'c', 's'].map(mount) })],
      },
      {
        configMaps: { 'kube-root-ca.crt': { 'ca.crt': 'CA\n' }, settings: { key: 'value\n' } },
        secrets: { login: { user: 'me\n' } },
      },
    )
    await pod.waitUntilEnded()
    t.equal(
      pod.logs('app'),
      'harness-tokenCA\npod..data/token\nvalue\nme\n400\n/p read-only\n/c read-only\n/s read-only\n1\n',
    )
  },
)

t.test('hostPath, claims and subPath', async (t) => {
  const run = await busyboxNode(t)
  const folder = t.testdir({ host: { file: 'from the host\n' }, claim: {} })
  chmodSync(`${folder}/claim`, 0o751)
  const pod = await run(
    {
      ...never,
      volumes: [
        { name: 'h', hostPath: { path: `${folder}/host` } },
        { name: 'p', persistentVolumeClaim: { claimName: 'data' } },
      ],
      containers: [
        shell('app', 'cat /h/file; echo kept >/sub/file; echo $NAME', {
          env: [{ name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
          volumeMounts: [
            { name: 'h', mountPath: '/h' },
            { name: 'p', mountPath: '/sub', subPathExpr: 'of/$(NAME)' },
          ],
        }),
      ],
    },
    { claims: { data: `${folder}/claim` } },
  )
  await pod.waitUntilEnded()
  t.equal(pod.logs('app'), 'from the host\npod\n')
  t.equal(readFileSync(`${folder}/claim/of/pod/file`, 'utf8'), 'kept\n')
  const modes = ['claim', 'claim/of', 'claim/of/pod'].map(
    (path) => statSync(`${folder}/${path}`).mode & 0o777,
  )
  t.same(modes, [0o751, 0o751, 0o751], 'a folder that is made has the mode of the volume’s root')
})

t.test('what the harness does not know is refused by name', async (t) => {
  const run = await busyboxNode(t)
  const spec = { hostNetwork: true, containers: [{ ...shell('app', ''), tty: true }] }
  await t.rejects(run(spec), /spec\.hostNetwork, spec\.containers\[app\]\.tty/)
  await t.rejects(
    run({ containers: [shell('a', '')], volumes: [{ name: 'x', nfs: {} } as never] }),
    /no such kind \(name, nfs\)/,
  )
})
