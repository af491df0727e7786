/** What the images are built from. `make image` itself takes minutes, and is run by hand. */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { debianLicences } from '../../scripts/image/licences.ts'
import { debianComponents, npmComponents, sbomOf } from '../../scripts/image/sbom.ts'
import { importedBy, productionModules, reachedModules } from '../../scripts/production-modules.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const lock = JSON.parse(read('package-lock.json')) as Parameters<typeof reachedModules>[0]

t.test('the Dockerfile takes nothing from the builder but sources, and the context has all of these', async (t) => {
  const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) => (match[1] ?? '').split(' '))
  t.ok(copied.includes('launcher') && copied.includes('src'))
  const sent = new Set(read('.dockerignore').split('\n').filter((line) => line.startsWith('!')).map((line) => line.slice(1)))
  for (const path of copied) t.ok(sent.has(path.split('/')[0] ?? ''), `${path} is in the context`)
  t.notOk(sent.has('node_modules'))
}) // prettier-ignore

t.test('what runs is built from nothing: no shell, no package manager', async (t) => {
  const stages = read('Dockerfile')
    .split(/^FROM /m)
    .slice(1)
  const final = stages.filter((stage) => /^\S+ AS (?:sidecar|control-plane)$/m.test(stage))
  t.equal(final.length, 2)
  for (const stage of final) {
    t.match(stage, /^scratch AS/)
    t.notMatch(stage, /^RUN /m)
  }
  t.match(
    final.find((stage) => stage.includes('AS control-plane')),
    /^USER 65532:65532$/m,
  )
})

t.test('each image has the packages that its sources import, and what these need', async (t) => {
  const names = (folders: string[]) =>
    reachedModules(lock, importedBy(root, folders)).map((path) => path.replace('node_modules/', ''))
  const sidecar = names(['src', 'sidecar'])
  const controlPlane = names(['src', 'webhook', 'certs'])
  for (const name of ['pino', 'yaml', 'ajv', 'sonic-boom']) t.ok(sidecar.includes(name), name)
  for (const name of ['fastify', 'prom-client', 'node-forge'])
    t.same([sidecar.includes(name), controlPlane.includes(name)], [false, true], name)
  t.same(controlPlane.sort(), productionModules(lock).map((path) => path.replace('node_modules/', '')).sort(), 'no package is for nothing') // prettier-ignore
  t.throws(() => reachedModules(lock, ['left-pad']), /left-pad is imported/)
})

t.test('the list of parts has version, licence and source of each, and is the same each time', async (t) => {
  const parts = [
    ...debianComponents('criu 4.2.1-1 amd64 criu 4.2.1-1\nlibattr1 1:2.5.2-3 amd64 attr 1:2.5.2-3\n'),
    ...npmComponents(lock as Parameters<typeof npmComponents>[0], ['node_modules/pino', 'node_modules/@sinclair/typebox']),
  ] // prettier-ignore
  const document = sbomOf('reprieve', '1.2.3', parts) as { components: { purl: string; licenses: unknown }[] }
  t.same(
    document.components.map(({ purl }) => purl),
    [
      'pkg:deb/debian/criu@4.2.1-1?arch=amd64',
      'pkg:deb/debian/libattr1@1%3A2.5.2-3?arch=amd64',
      'pkg:npm/%40sinclair/typebox@0.34.52',
      'pkg:npm/pino@10.4.0',
    ],
  )
  t.match(document.components[0], { licenses: [{ expression: /GPL-2.0/ }] })
  t.same(sbomOf('reprieve', '1.2.3', parts.toReversed()), document)
  t.throws(() => debianComponents('new 1 amd64 new-source 1'), /licences.ts does not know new-source/)
})

t.test('the notice names what is under the GPL', async (t) => {
  const notice = read('NOTICE').replaceAll(/\s+/g, ' ')
  const names: Record<string, string> = { coreutils: 'coreutils', criu: 'CRIU', findutils: 'findutils', 'gcc-14': 'libstdc++', glibc: 'GNU C library', iptables: 'libxtables', nftables: 'libnftables', tar: 'GNU tar', 'util-linux': '', gnutls28: 'libgnutls', nettle: 'libnettle', libnl3: 'libnl', 'libtasn1-6': 'libtasn1', acl: 'libacl', attr: 'libattr', gmp: 'libgmp' } // prettier-ignore
  for (const [source, licence] of Object.entries(debianLicences))
    if (licence.includes('GPL')) t.ok(notice.includes(names[source] ?? source), source)
})

t.test('a version that the archive has moved on from fails the build, and says what to do', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-packages-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const script = join(folder, 'packages.sh')
  copyFileSync(join(root, 'scripts/image/packages.sh'), script)
  mkdirSync(join(folder, 'tree/bin'), { recursive: true })
  copyFileSync('/bin/tar', join(folder, 'tree/bin/tar'))
  chmodSync(script, 0o755)
  const run = (mode: string, pinned: string) => {
    writeFileSync(join(folder, 'packages.lock'), pinned)
    return spawnSync('sh', [script, 'tools', mode, join(folder, 'tree')], { encoding: 'utf8' })
  }
  const old = run('pinned', 'tools tar 0.1-1\n')
  t.equal(old.status, 1)
  t.match(old.stderr, /tools tar \S+ \(pinned: 0\.1-1\)[^]*snapshot\.debian\.org[^]*PACKAGES=current/)
  const version = /^tar (\S+) /.exec(old.stdout)?.[1] ?? ''
  t.match(old.stdout, /^tar \S+ \w+ tar \S+\n$/)
  t.match(run('current', 'tools tar 0.1-1\n'), { status: 0, stdout: old.stdout, stderr: /pinned: 0\.1-1/ })
  t.match(run('pinned', `tools tar ${version.replace(/\+b\d+$/, '')}\n`), { status: 0, stderr: '' })
})
