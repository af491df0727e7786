import t from 'tap'
import { urlInPod } from '../../../sidecar/launcher-socket/hook-fetch.ts'

const pod = { all: new Set(['127.0.0.1', '::1', '10.0.0.7', 'fd00::7']), global: ['10.0.0.7', 'fd00::7'] }
const asked = (text: string, addresses = pod) => urlInPod(text, addresses)?.href

t.test('a hook asks the pod: its addresses, the loopback, and itself where no host is named', async (t) => {
  t.equal(asked('https://:8443/bye?now=1'), 'https://10.0.0.7:8443/bye?now=1')
  t.equal(asked('https:///bye'), 'https://10.0.0.7/bye')
  t.equal(asked('https://10.0.0.7/'), 'https://10.0.0.7/')
  t.equal(asked('https://[fd00::7]:1/'), 'https://[fd00::7]:1/')
  t.equal(asked('https://[::1]/'), 'https://[::1]/')
  t.equal(asked('https://localhost:8443/'), 'https://127.0.0.1:8443/')
  t.equal(asked('https://127.1/'), 'https://127.0.0.1/')
  t.equal(asked('https://:1/', { all: new Set(['fd00::7']), global: ['fd00::7'] }), 'https://[fd00::7]:1/')
})

t.test('a hook asks no other host, however it is written', async (t) => {
  for (const text of [
    'https://10.0.0.8/',
    'https://169.254.169.254/',
    'https://example.org/',
    'https://127.0.0.1.example.org/',
    'https://127.0.0.1@example.org/',
    'https://localhost.example.org/',
    'https://localhost./',
    'https://0/',
    'https://[::ffff:10.0.0.8]/',
    'http://127.0.0.1/',
    'file:///etc/passwd',
  ])
    t.equal(asked(text), undefined, text)
  t.equal(asked('https://:1/', { all: new Set(), global: [] }), undefined)
  t.throws(() => asked('nonsense'))
})
