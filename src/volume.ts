/**
 * Where things lie in the shared volume, which every container of an injected pod mounts at the same place:
 * the sidecar and the restore init container to write, the protected containers to read only. Staging is another volume, mounted over a
 * folder of this one in the sidecar and the restore init container only.
 */
export const volumeRoot = '/reprieve'

export const volumePaths = {
  bin: `${volumeRoot}/bin`,
  lib: `${volumeRoot}/lib`,
  run: `${volumeRoot}/run`,
  staging: `${volumeRoot}/staging`,
  /** The stable name of the launcher, a symbolic link to `launcher-<first 12 hex digits of its SHA-256>`. */
  launcher: `${volumeRoot}/bin/launcher`,
  /** The dynamic linker that starts every bundled tool, so that the image needs no libc of its own. */
  loader: `${volumeRoot}/lib/ld.so`,
  /** Unix socket on which launchers reach the sidecar; anyone in the pod may connect. */
  socket: `${volumeRoot}/run/sidecar.sock`,
  /** Unix socket for manual checkpoints; only root in the pod may connect, who could kill its processes as well. */
  control: `${volumeRoot}/run/control.sock`,
  /** Unix socket on which the node agent calls the sidecar (agent/PROTOCOL.md); only root outside the pod’s PID namespace is heard. */
  agent: `${volumeRoot}/run/agent.sock`,
  /** Files that announce an end (sidecar/triggers/notices/notice-folder.ts); only root in the sidecar and on the node can write there. */
  notices: `${volumeRoot}/run/notices`,
} as const
