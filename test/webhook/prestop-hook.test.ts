import t from 'tap'
import type { Container } from '../../webhook/pod.ts'
import { prestopCommand } from '../../webhook/prestop-hook.ts'

const hook = (
  preStop: NonNullable<NonNullable<Container['lifecycle']>['preStop']> | null,
  ports: Container['ports'] = [],
) => {
  const { command, warnings } = prestopCommand({ name: 'main', ports, lifecycle: { preStop } }, 60_000)
  t.same(command.slice(0, 4), ['/reprieve/bin/launcher', 'prestop', '--container=main', '--budget-ms=60000'])
  return { words: command.slice(4), warnings }
}

t.test('no hook of the user leaves only the launcher', async (t) => {
  t.same(hook(null), { words: [], warnings: [] })
  t.same(prestopCommand({ name: 'a' }, 1).command, [
    '/reprieve/bin/launcher',
    'prestop',
    '--container=a',
    '--budget-ms=1',
  ])
})

t.test('an exec hook is carried word for word', async (t) => {
  const command = ['sh', '-c', 'echo "$HOME" > /x', '--', '']
  t.same(hook({ exec: { command } }).words, ['--exec', '--', ...command])
})

t.test('an httpGet hook becomes the URL that the kubelet would fetch', async (t) => {
  const ports = [{ name: 'web', containerPort: 8080 }]
  const urls: [NonNullable<Parameters<typeof hook>[0]>['httpGet'], string][] = [
    [{ port: 80 }, 'http://:80/'],
    [{ port: 'web', path: '/bye?now=1&x=%20' }, 'http://:8080/bye?now=1&x=%20'],
    [{ port: '81', path: 'bye' }, 'http://:81/bye'],
    [{ port: 443, scheme: 'HTTPS', host: 'example.org', path: '/' }, 'https://example.org:443/'],
    [{ port: 80, host: 'fd00::1' }, 'http://[fd00::1]:80/'],
    [{ port: 80, path: '/a b\r\nX: y' }, 'http://:80/a%20b%0D%0AX:%20y'],
    [{ port: 80, path: '/ü\ud800' }, 'http://:80/%C3%BC%EF%BF%BD'],
  ]
  for (const [httpGet, url] of urls)
    t.same(hook({ httpGet }, ports), { words: [`--http-get=${url}`], warnings: [] })
})

t.test('its headers follow, in order', async (t) => {
  const httpHeaders = [
    { name: 'X-One', value: 'a: b' },
    { name: 'X-Two', value: null },
    { name: 'X-One', value: 'c' },
  ]
  t.same(hook({ httpGet: { port: 80, httpHeaders } }).words, [
    '--http-get=http://:80/',
    '--header=X-One:a: b',
    '--header=X-Two:',
    '--header=X-One:c',
  ])
})

t.test('a sleep is carried', async (t) => {
  t.same(hook({ sleep: { seconds: 5 } }).words, ['--sleep=5'])
})

t.test('a hook that does nothing in Kubernetes is left out, and that is told', async (t) => {
  for (const preStop of [
    { tcpSocket: { port: 80 } },
    { httpGet: { port: 'nameless' } },
    { httpGet: { port: 0 } },
    { exec: { command: [] } },
    { sleep: { seconds: -1 } },
    {},
  ]) {
    const { words, warnings } = hook(preStop)
    t.same(words, [])
    t.equal(warnings.length, 1)
  }
})
