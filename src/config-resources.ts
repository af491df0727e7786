/** The schema of what the injected containers request and may use. */
import { Type } from '@sinclair/typebox'
import { amount } from './config-forms.ts'
import { closed, section } from './config-parts.ts'

const resourceList = (description: string, given: { cpu?: string; memory?: string }) =>
  Type.Object(
    {
      cpu: Type.Optional(amount({ description: 'processor time' })),
      memory: Type.Optional(amount({ description: 'memory' })),
    },
    { ...closed, default: given, description },
  )
/**
 * No limits by default: the page cache of a dump counts towards the memory limit, and a dump that waits for the disk keeps the application
 * frozen; the restore init container writes a whole checkpoint.
 */
export const resources = (whose: string) =>
  Type.Object(
    {
      requests: resourceList(`requests of ${whose} in Burstable pods`, { cpu: '20m', memory: '64Mi' }),
      limits: resourceList(`limits of ${whose} in Burstable pods`, {}),
      guaranteed: Type.Object(
        {
          cpu: amount({ default: '500m', description: 'processor time' }),
          memory: amount({ default: '256Mi', description: 'memory' }),
        },
        { ...section, description: `requests and limits of ${whose} in Guaranteed pods` },
      ),
    },
    section,
  )
