import fc from 'fast-check'
import t from 'tap'
import { ReprieveError } from '../../src/errors.ts'
import { completeManifest, parseManifest, serializeManifest } from '../../src/manifest-codec.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { isStoredPath, manifestLimits } from '../../src/manifest-shape.ts'
import { canonicalJson, openSealedJson, sealJson } from '../../src/sealed-json.ts'
import { sampleDraft } from '../store/samples.ts'

const hash = 'a'.repeat(64)
const file = (path: string, sizeBytes = 1) => ({ path, sizeBytes, sha256: hash })
const sample = () =>
  completeManifest(sampleDraft(), [file('criu/pages-1.img', 4096), file('archive.tar', 512)])

/** The problems of a manifest that was sealed properly but is not right. */
function problemsOf(content: unknown): string[] {
  try {
    parseManifest(sealJson(content))
  } catch (error) {
    if (error instanceof ReprieveError && error.code === 'manifest-invalid') {
      return Array.isArray(error.data.problems) ? error.data.problems : [error.message]
    }
    throw error
  }
  return []
}

const segment = fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._ -]{0,20}$/)
const size = fc.integer({ min: 0, max: 2 ** 40 })
const files = fc
  .uniqueArray(fc.record({ path: segment, sizeBytes: size, sha256: fc.stringMatching(/^[0-9a-f]{64}$/) }), {
    maxLength: 20,
    selector: ({ path }) => path,
  })
  .map((list) => list.map((entry, index) => ({ ...entry, path: `${index % 3}/${entry.path}` })))
const durationMs = fc.double({ min: 0, max: 1e9, noNaN: true }).map((value) => value + 0)
const manifests = fc
  .record({
    reason: fc.string({ unit: 'grapheme', maxLength: 100 }),
    frozenMs: durationMs,
    pids: fc.array(fc.integer({ min: 1, max: 4_194_304 })),
    files,
  })
  .map(({ reason, frozenMs, pids, files }) => {
    const draft = sampleDraft({ reason, timings: { frozenMs, dumpMs: 1, archiveMs: 2 } })
    return completeManifest({ ...draft, process: { ...draft.process, pids } }, files)
  })

t.test('any manifest reads back as it was written', async (t) => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      t.strictSame(parseManifest(serializeManifest(manifest)), manifest)
    }),
  )
})

t.test('equal manifests are equal bytes, whatever the order of their fields', async (t) => {
  const manifest = sample()
  const turned = Object.fromEntries(Object.entries(manifest).toReversed()) as CheckpointManifest
  t.ok(serializeManifest(turned).equals(serializeManifest(manifest)))
})

t.test('files are listed by path and their sizes added up', async (t) => {
  t.same(
    sample().files.map(({ path }) => path),
    ['archive.tar', 'criu/pages-1.img'],
  )
  t.equal(sample().totalBytes, 4608)
})

t.test('every single flipped bit of a manifest is detected', async (t) => {
  const bytes = serializeManifest(sample())
  const unseen: number[] = []
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = Buffer.from(bytes)
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    try {
      parseManifest(damaged)
      unseen.push(bit)
    } catch (error) {
      if (!(error instanceof ReprieveError && error.code === 'manifest-invalid')) throw error
    }
  }
  t.same(unseen, [])
})

t.test('a manifest cut short anywhere is refused', async (t) => {
  const bytes = serializeManifest(sample())
  for (let end = 0; end < bytes.length; end++) {
    t.throws(() => parseManifest(bytes.subarray(0, end)), { code: 'manifest-invalid' }, `${end} bytes`)
  }
})

t.test('bytes of any kind are refused, never crash the reader', async (t) => {
  const refused = (bytes: Uint8Array) => {
    t.throws(() => parseManifest(bytes), { code: 'manifest-invalid' })
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), refused))
  fc.assert(fc.property(fc.json(), (json) => refused(Buffer.from(json))))
  fc.assert(fc.property(fc.jsonValue(), (content) => refused(sealJson(content))))
  refused(sealJson(JSON.parse('['.repeat(2000) + ']'.repeat(2000))))
})

t.test('a manifest of another version is refused with both versions', async (t) => {
  t.throws(() => parseManifest(sealJson({ ...sample(), version: 2, news: true })), {
    code: 'manifest-invalid',
    message: /version 2, this Reprieve reads version 1/,
    data: { version: 2, known: 1 },
  })
})

t.test('all problems are named at once', async (t) => {
  const { pod: _, ...rest } = sample()
  const problems = problemsOf({ ...rest, id: 'x', createdAt: 'yesterday', files: [file('../etc/passwd')] })
  t.match(problems.join('\n'), /pod is missing/)
  t.match(problems.join('\n'), /id must be a checkpoint's id, not "x"/)
  t.match(problems.join('\n'), /createdAt must be an instant/)
  t.match(problems.join('\n'), /files\[0\]\.path must be a plain relative path, not "\.\.\/etc\/passwd"/)
  t.match(problems.join('\n'), /totalBytes must be the sum/)
})

t.test('no path leads out of the folder', async (t) => {
  const bad = [
    '',
    '/',
    '/etc/passwd',
    '..',
    'a/../b',
    'a/..',
    './a',
    'a//b',
    'a/',
    'a\0b',
    'a\nb',
    '\ud800',
    'n'.repeat(256),
  ]
  for (const path of bad)
    t.not(problemsOf(completeManifest(sampleDraft(), [file(path)])).length, 0, JSON.stringify(path))
  const long = Array.from({ length: 20 }, () => 'd'.repeat(200)).join('/')
  t.not(problemsOf(completeManifest(sampleDraft(), [file(long)])).length, 0, 'longer than a path may be')
  for (const path of ['a', 'a/b.c/..d', '...', 'ü/日本']) t.ok(isStoredPath(path), path)
})

t.test('a path that comes twice, or is file and folder, is refused', async (t) => {
  const twice = problemsOf(completeManifest(sampleDraft(), [file('a/b'), file('a/b')]))
  t.match(twice.join(), /files has "a\/b" twice/)
  const both = problemsOf(completeManifest(sampleDraft(), [file('a'), file('a/b')]))
  t.match(both.join(), /files has "a" twice, or both as a file and a folder/)
})

t.test('sizes are safe whole numbers, and add up', async (t) => {
  for (const sizeBytes of [-1, 0.5, Number.MAX_SAFE_INTEGER + 1, 1e300, '7', null]) {
    const manifest = { ...sample(), files: [{ path: 'a', sizeBytes, sha256: hash }], totalBytes: sizeBytes }
    t.match(problemsOf(manifest).join(), /files\[0\]\.sizeBytes must be a whole number/, String(sizeBytes))
  }
  const most = Number.MAX_SAFE_INTEGER
  t.match(
    problemsOf(completeManifest(sampleDraft(), [file('a', most), file('b', most)])).join(),
    /totalBytes/,
  )
})

t.test('fields that nobody asked for are refused, __proto__ among them', async (t) => {
  const text = canonicalJson(sample())
  for (const key of ['__proto__', 'constructor', 'toString', 'more']) {
    const content: unknown = JSON.parse(`{"${key}":{"version":1},${text.slice(1)}`)
    t.match(problemsOf(content).join(), new RegExp(`"${key}" is not a field of this version`), key)
  }
  t.equal(Object.hasOwn(Object.prototype, 'version'), false)
})

t.test('what a manifest says of pipes, processes and outside files is checked', async (t) => {
  const draft = sampleDraft()
  const stdio = [
    { fd: 1 as const, inode: '1' },
    { fd: 1 as const, inode: '2' },
  ]
  const bad = sampleDraft({
    process: { rootPid: 0, pids: [1.5], stdio },
    externalFiles: [{ path: '/a/../b', sizeBytes: 1 }],
    timings: { ...draft.timings, dumpMs: -1 },
  })
  const problems = problemsOf(completeManifest(bad, [])).join('\n')
  for (const part of [
    /rootPid/,
    /pids\[0\]/,
    /names a descriptor twice/,
    /externalFiles\[0\]\.path/,
    /timings\.dumpMs/,
  ]) {
    t.match(problems, part)
  }
})

t.test('a manifest that could not be read back is not written', async (t) => {
  t.throws(() => serializeManifest({ ...sample(), totalBytes: 1 }), { code: 'manifest-invalid' })
  t.throws(() => serializeManifest({ ...sample(), id: '../x' }), { code: 'manifest-invalid' })
})

t.test('a giant is refused before it is read', async (t) => {
  const giant = new Uint8Array(manifestLimits.manifestBytes + 1)
  t.throws(() => parseManifest(giant), { code: 'manifest-invalid', message: /more than/ })
  const many = { ...sample(), files: Array.from({ length: manifestLimits.files + 1 }, () => 0) }
  t.match(problemsOf(many).join(), /at most 100000 entries/)
})

t.test('a hostile manifest cannot fill the log', async (t) => {
  const many = { ...sample(), files: Array.from({ length: 50_000 }, () => 'x'.repeat(100)) }
  t.throws(() => parseManifest(sealJson(many)), { message: /^.{0,4000} and \d+ more$/s })
})

t.test('sealed JSON is plain JSON, with sorted keys', async (t) => {
  const bytes = sealJson({ b: [1, { d: null, c: 'é' }], a: undefined })
  t.match(bytes.toString(), /^\{"content":\{"b":\[1,\{"c":"é","d":null\}\]\},"sha256":"[0-9a-f]{64}"\}\n$/)
  t.same(JSON.parse(bytes.toString()).content, openSealedJson(bytes))
})
