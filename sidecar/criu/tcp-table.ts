/** The pod's TCP sockets as the kernel lists them: /proc/net/tcp and tcp6, proc_pid_net(5). The sidecar is in the pod's network. */
import { readFile } from 'node:fs/promises'
import { keyOf } from './tcp-connections.ts'
import { addressOf } from './pod-addresses.ts'

/** Inodes by `ADDRESS PORT ADDRESS PORT`, local and remote; 0 where no process holds the socket. */
export async function tcpTable(): Promise<Map<string, number>> {
  const texts = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/self/net/${name}`, 'latin1').catch(() => '')),
  )
  return parseTcpTable(texts.join('\n'))
}

export function parseTcpTable(text: string): Map<string, number> {
  const table = new Map<string, number>()
  // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
  const lines =
    /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) \S+ \S+ \S+ \S+ +\d+ +\d+ (\d+)/gm
  for (const [, source = '', sourcePort = '', target = '', targetPort = '', inode] of text.matchAll(lines))
    table.set(keyOf({ own: endOf(source, sourcePort), peer: endOf(target, targetPort) }), Number(inode))
  return table
}

/** Words of 32 bits, each in hex as this machine reads it: little-endian on every machine that Reprieve runs on. */
function endOf(address: string, port: string): string {
  const bytes = Buffer.from(address, 'hex')
  return `${addressOf(bytes.swap32())} ${Number.parseInt(port, 16)}`
}
