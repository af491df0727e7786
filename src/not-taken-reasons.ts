/** Why a checkpoint that was asked for was not begun, besides the codes of errors.ts. `remedy` is for the documentation. */
export const notTakenReasons = {
  'not-running': {
    meaning: 'there is no application to dump: it is starting, has ended, or was checkpointed already',
    remedy: '`state` in `/status` says which of these it is.',
  },
  'pod-ending': {
    meaning:
      'the pod was told to end, and a checkpoint of an application that shuts down would be of half an application',
    remedy: 'Nothing to do: the last checkpoint of the pod was taken, or failed, before.',
  },
  'container-unknown': {
    meaning: 'the `preStop` hook names a container that the plan does not have',
    remedy: 'The pod was changed after its admission: delete it.',
  },
  internal: {
    meaning: 'Reprieve failed',
    remedy: 'This is a defect. Report the error of the log line `the last checkpoint failed`.',
  },
  'hook-elsewhere': {
    meaning: "the user's own HTTPS `preStop` hook names another host than the pod",
    remedy: 'Call the other host by an `exec` hook, which runs with the rights of the application.',
  },
  'hook-unreachable': {
    meaning: "the sidecar could not fetch the user's own HTTPS `preStop` hook",
    remedy: 'Nothing to do: the pod ends as it would have without Reprieve.',
  },
} as const satisfies Record<string, { meaning: string; remedy: string }>
