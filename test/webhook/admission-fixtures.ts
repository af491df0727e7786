import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseConfig, type Config } from '../../src/config.ts'
import type { Pod } from '../../webhook/pod.ts'
import type { AdmissionRequest } from '../../webhook/review.ts'

const fixtures = new URL('../fixtures/', import.meta.url)

export const configFile = new URL('config/webhook.yaml', fixtures).pathname

export function sampleConfig(changes: (text: string) => string = (text) => text): Config {
  return parseConfig(changes(readFileSync(configFile, 'utf8')), configFile)
}

/** Recorded from a Kubernetes 1.36.2 API server. */
export function recordedReviews(): { name: string; text: string; request: AdmissionRequest }[] {
  return readdirSync(new URL('admission/', fixtures))
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => {
      const text = readFileSync(new URL(`admission/${file}`, fixtures), 'utf8')
      const review = JSON.parse(text) as { request: AdmissionRequest }
      return { name: basename(file, '.json'), text, request: review.request }
    })
}

export function recorded(name: string): { text: string; request: AdmissionRequest; pod: Pod } {
  const found = recordedReviews().find((review) => review.name === name)
  if (found === undefined) throw new Error(`no review ${name} was recorded`)
  return { text: found.text, request: found.request, pod: found.request.object as Pod }
}

/** A small pod that opts in; whatever is given replaces what it says. */
export function samplePod(
  change: {
    annotations?: Record<string, string>
    metadata?: Partial<Pod['metadata']>
    spec?: Partial<Pod['spec']>
    container?: Partial<Pod['spec']['containers'][number]>
  } = {},
): Pod {
  return {
    metadata: {
      name: 'train',
      annotations: { 'reprieve.dev/checkpoint': 'true', ...change.annotations },
      ...change.metadata,
    },
    spec: {
      containers: [
        { name: 'main', image: 'ml-app:1', command: ['python3', 'train.py'], ...change.container },
      ],
      ...change.spec,
    },
  }
}
