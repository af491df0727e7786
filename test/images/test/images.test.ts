import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Images } from '../../harness/image.ts'
import { Node } from '../../harness/node.ts'
import { pythonImage } from '../debian.ts'
import { muslImage } from '../musl.ts'
import { reprieveImage } from '../reprieve.ts'
import { staticOnlyImage } from '../static-only.ts'

const source = join(import.meta.dirname, '../../programs/say-hello.c')

async function output(t: Test, images: Images, command?: string[]): Promise<string> {
  const node = await Node.create()
  t.teardown(() => node.destroy())
  const app = { name: 'app', image: 'image', ...(command === undefined ? {} : { command }) }
  const pod = await node.run(
    { metadata: {}, spec: { restartPolicy: 'Never', containers: [app] } },
    { images },
  )
  const status = await pod.waitUntilEnded(60_000)
  if (status.phase !== 'Succeeded') t.fail(pod.describe())
  return pod.logs('app')
}

t.test('an image of one static program and nothing else runs', async (t) => {
  t.equal(await output(t, { image: await staticOnlyImage(source) }), 'hello from a static program\n')
})

t.test('a dynamically linked musl program runs by musl’s own linker', async (t) => {
  t.equal(await output(t, { image: await muslImage(source) }), 'hello from a musl program\n')
})

t.test('numpy computes on several processes in the Python image', async (t) => {
  const program = `
import multiprocessing, numpy
def square(n): return int(numpy.dot(numpy.arange(n), numpy.arange(n)))
if __name__ == '__main__':
    with multiprocessing.Pool(2) as pool: print(pool.map(square, [3, 4]))`
  t.equal(await output(t, { image: await pythonImage() }, ['python3', '-c', program]), '[5, 14]\n')
})

t.test(
  'Reprieve’s image holds Node, plain JavaScript, the launcher, and tools that need nothing else',
  async (t) => {
    const tools = '/usr/local/lib/reprieve/tools'
    const run = (name: string) =>
      `${tools}/lib/ld.so --library-path ${tools}/lib ${tools}/bin/${name} --version | head -1`
    const script = `set -e; node --version; cd /opt/reprieve; ls; find src sidecar webhook -name '*.ts' | wc -l
    ${run('criu')}; ${run('tar')}; ${run('find')}; ${run('cp')}
    /usr/local/lib/reprieve/launcher >/dev/null 2>&1 || echo launcher $?
    node -e "import('./src/log.js').then(() => console.log('log.js loads'))"`
    const said = await output(t, { image: await reprieveImage() }, ['sh', '-c', script])
    t.match(said, /^v24\./)
    t.match(said, /\nnode_modules\npackage\.json\nsidecar\nsrc\nwebhook\n0\n/)
    t.match(said, /Version: 4\.[1-9]/)
    t.match(
      said,
      /tar \(GNU tar\)[^]*find \(GNU findutils\)[^]*cp \(GNU coreutils\)[^]*launcher \d+\nlog\.js loads\n$/,
    )
  },
)
