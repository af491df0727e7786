/** The schema of a store: where checkpoints go. */
import { Type } from '@sinclair/typebox'
import { closed, objectName, oneOf, text } from './config-parts.ts'

const directory = (description: string) =>
  text('^/(?!.*(?:^|/)\\.\\.(?:/|$)).*$', 'an absolute path without ".."', { description })
export const store = Type.Object(
  {
    hostPath: Type.Optional(
      Type.Object(
        {
          path: directory('a directory of the node'),
          type: oneOf(['DirectoryOrCreate', 'Directory'], {
            default: 'DirectoryOrCreate',
            description: 'whether the kubelet makes the directory',
          }),
        },
        closed,
      ),
    ),
    nfs: Type.Optional(
      Type.Object(
        {
          server: text(
            '^[A-Za-z0-9:[\\]][A-Za-z0-9.:[\\]-]{0,252}$',
            'a host name or an address',
            { description: 'the NFS server' }, // prettier-ignore
          ),
          path: directory('the exported directory'),
        },
        closed,
      ),
    ),
    persistentVolumeClaim: Type.Optional(
      Type.Object(
        { claimName: Type.String({ ...objectName, description: "a claim in the pod's namespace" }) },
        closed,
      ),
    ),
  },
  {
    ...closed,
    minProperties: 1,
    maxProperties: 1,
    expected: 'exactly one of hostPath, nfs, persistentVolumeClaim',
  },
)
