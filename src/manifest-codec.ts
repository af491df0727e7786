/** Manifests to bytes and back; the bytes may come from anyone. */
import { ReprieveError } from './errors.ts'
import {
  manifestVersion,
  type CheckpointDraft,
  type CheckpointManifest,
  type StoredFile,
} from './manifest.ts'
import { manifestLimits, manifestShape } from './manifest-shape.ts'
import { openSealedJson, sealJson } from './sealed-json.ts'
import { isRecord, problemsOf, summarize } from './shape.ts'

/** The manifest of a draft and its files, which are brought into the order of their paths. */
export function completeManifest(draft: CheckpointDraft, files: readonly StoredFile[]): CheckpointManifest {
  return {
    ...draft,
    version: manifestVersion,
    files: [...files].sort((a, b) => (a.path < b.path ? -1 : 1)),
    totalBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
  }
}

/**
 * Canonical: equal manifests give equal bytes.
 * @throws ReprieveError `manifest-invalid`, so that nothing is ever stored that cannot be read back
 */
export function serializeManifest(manifest: CheckpointManifest): Buffer {
  requireManifest(manifest)
  const bytes = sealJson(manifest)
  if (bytes.length > manifestLimits.manifestBytes) throw tooLarge(bytes.length)
  return bytes
}

/** @throws ReprieveError `manifest-invalid` naming every problem */
export function parseManifest(bytes: Uint8Array): CheckpointManifest {
  if (bytes.length > manifestLimits.manifestBytes) throw tooLarge(bytes.length)
  let content: unknown
  try {
    content = openSealedJson(bytes)
  } catch (error) {
    throw new ReprieveError('manifest-invalid', 'the manifest cannot be read', {}, error)
  }
  requireManifest(content)
  return content
}

/** @throws ReprieveError `manifest-invalid` naming every problem */
export function requireManifest(value: unknown): asserts value is CheckpointManifest {
  if (isRecord(value) && Number.isSafeInteger(value.version) && value.version !== manifestVersion) {
    throw new ReprieveError(
      'manifest-invalid',
      `the manifest has version ${String(value.version)}, this Reprieve reads version ${manifestVersion}: ` +
        'it was written by another release; restore it with that one',
      { version: value.version, known: manifestVersion },
    )
  }
  const problems = problemsOf(manifestShape, value)
  if (problems.length > 0) {
    throw new ReprieveError('manifest-invalid', `not a checkpoint manifest: ${summarize(problems)}`, {
      problems,
    })
  }
}

function tooLarge(sizeBytes: number): ReprieveError {
  return new ReprieveError(
    'manifest-invalid',
    `the manifest has ${sizeBytes} bytes, more than the ${manifestLimits.manifestBytes} that this version reads`,
    { sizeBytes },
  )
}
