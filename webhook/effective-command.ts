/**
 * The command of a container without `command`, as the runtimes compute it: the pod's `command` replaces ENTRYPOINT and drops CMD, its
 * `args` replace CMD (https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/#notes;
 * containerd, internal/cri/opts/spec_opts.go, WithProcessArgs).
 */
import type { Container } from './pod.ts'
import type { ImageCommand } from './registry/manifest.ts'

/** The `command` with which the container runs the same program; the container's own `args`, if any, follow it. */
export function effectiveCommand(container: Container, image: ImageCommand): string[] {
  // An image that was built with `ENTRYPOINT [""]` has none.
  const isCleared = image.entrypoint.length === 1 && image.entrypoint[0] === ''
  const entrypoint = isCleared ? [] : image.entrypoint
  const gaveArgs = (container.args ?? []).length > 0
  return [...entrypoint, ...(gaveArgs ? [] : image.cmd)].map(literal)
}

/** The kubelet expands `$(NAME)` in a pod's command, which it does not in an image's; `$$` is a dollar sign to it. */
function literal(word: string): string {
  return word.replaceAll('$', () => '$$')
}
