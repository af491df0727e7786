/** `admit`, after what it must know of images and lineages has been found out: the one part of an admission that waits for others. */
import type { Config } from '../src/config.ts'
import { admit, imagesToLookUp, type Admission, type ImagesToLookUp } from './admit.ts'
import type { OptedInBy } from './decide.ts'
import { admitWithRecords } from './admit-with-records.ts'
import type { Entrypoint, Entrypoints } from './entrypoints.ts'
import type { LineageRecords } from './lineage-records.ts'
import type { Container } from './pod.ts'
import type { ImageLookUp } from './registry/image-look-up.ts'
import { rememberAdmissions } from './remembered-admissions.ts'
import { architectureOf } from './registry/platform.ts'
import type { PullCredentials, PullSecrets } from './registry/pull-secrets.ts'
import type { AdmissionRequest } from './review.ts'
import { withinDeadline } from './within-deadline.ts'

export type ImageParts = { lookUp: ImageLookUp; secrets: PullSecrets }

/** A promise where the admission waits for others. Its caller gives up after `budgetMs`. */
export type TimedAdmit = (
  request: AdmissionRequest,
  optedInBy: OptedInBy,
  config: Config,
  budgetMs: number,
) => Admission | Promise<Admission>

/** The rest of the API server's time is for the decision, and for a busy machine. */
const shareOfBudget = 0.6
/** One pod must not take up all the questions that may be asked at a time. */
const mostImages = 8

/**
 * @param images undefined: no registry is asked
 * @param records undefined: no replacement is given more than it asks for
 */
export function admitWithImages(images: ImageParts | undefined, records?: LineageRecords): TimedAdmit {
  const remembered = rememberAdmissions()
  return (request, optedInBy, config, budgetMs) => {
    const last = (entrypoints?: Entrypoints) => {
      if (records !== undefined)
        return admitWithRecords(
          records,
          (needs) => admit(request, optedInBy, config, { entrypoints, needs }),
          budgetMs,
        )
      return entrypoints === undefined
        ? remembered(request, optedInBy, config)
        : admit(request, optedInBy, config, { entrypoints })
    }
    const wanted = imagesToLookUp(request, optedInBy, config)
    // Nothing to wait for: most reviews are answered in the turn in which they came.
    if (wanted === undefined || images === undefined) return last()
    return lookedUp(images, wanted, config, budgetMs * shareOfBudget).then(last)
  }
}

async function lookedUp(
  images: ImageParts,
  wanted: ImagesToLookUp,
  config: Config,
  shareMs: number,
): Promise<Entrypoints> {
  const { containers } = wanted
  const find = await finder(images, wanted, config, shareMs)
  const found = await Promise.all(
    containers.map(async (container) => [container.name, await find(container)] as const),
  )
  return new Map(found)
}

const secretsLate: PullCredentials = {
  stored: [],
  problems: [{ text: 'its pull secrets were not read in time', fault: 'elsewhere' }],
}

async function finder(
  { lookUp, secrets }: ImageParts,
  { pod, namespace }: ImagesToLookUp,
  config: Config,
  shareMs: number,
): Promise<(container: Container) => Promise<Entrypoint>> {
  const until = performance.now() + Math.min(shareMs, config.entrypoints.budgetMs)
  const { stored, problems } = await withinDeadline(
    until - performance.now(),
    () => secrets.of(pod, namespace),
    () => secretsLate,
  )
  const architecture = architectureOf(pod, config.entrypoints.architecture)
  const asked = new Set<string>()
  return async ({ image }) => {
    if (!image) return { known: false, why: 'it names no image', fault: 'owner' }
    if (asked.size >= mostImages && !asked.has(image))
      return {
        known: false,
        why: `no more than ${mostImages} images are looked up for one pod`,
        fault: 'owner',
      }
    asked.add(image)
    const found = await lookUp.find({ image, architecture, stored }, until - performance.now())
    // They may be why: without its secret a private image is not to be seen.
    if (found.known) return found
    const why = [found.why, ...problems.map(({ text }) => text)].join('; ')
    return {
      known: false,
      why,
      fault: problems.some(({ fault }) => fault === 'elsewhere') ? 'elsewhere' : found.fault,
    }
  }
}
