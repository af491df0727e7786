/** QEMU's arguments for the guest, and what of it people may choose. */
import { portName } from './frames.ts'

export const accelerators = ['tcg', 'kvm'] as const
export type Accelerator = (typeof accelerators)[number]

export type MachineOptions = {
  accelerator: Accelerator
  processors: number
  memoryMiB: number
}

/**
 * From REPRIEVE_VM_ACCEL, REPRIEVE_VM_CPUS and REPRIEVE_VM_MEMORY_MIB. Emulation unless KVM is asked for: that /dev/kvm is there
 * does not mean that it runs a guest (inside other virtual machines it may emulate some instructions only), and a
 * processor that is the same everywhere makes a failure here the same failure elsewhere.
 * @throws Error that names every bad value
 */
export function machineOptions(environment: Record<string, string | undefined>): MachineOptions {
  const problems: string[] = []
  const number = (name: string, least: number, standard: number): number => {
    const text = environment[name] || String(standard)
    if (!/^\d+$/.test(text) || Number(text) < least)
      problems.push(`${name}=${text} is no whole number of at least ${least}`)
    return Number(text)
  }
  const wanted = environment.REPRIEVE_VM_ACCEL || 'tcg'
  const accelerator = accelerators.find((name) => name === wanted)
  if (accelerator === undefined) problems.push(`REPRIEVE_VM_ACCEL=${wanted} is none of ${accelerators.join(', ')}`) // prettier-ignore
  const processors = number('REPRIEVE_VM_CPUS', 1, 2)
  const memoryMiB = number('REPRIEVE_VM_MEMORY_MIB', 1024, 3072)
  if (problems.length > 0) throw new Error(problems.join('; '))
  return { accelerator: accelerator ?? 'tcg', processors, memoryMiB }
}

export type MachineFiles = {
  kernel: string
  initialRamDisk: string
  /** The root file system; what is written to it is thrown away. */
  disk: string
  /** A tar archive. */
  payload: string
  console: string
}

/** What TCG emulates of this one it emulates fast; it has no AVX, whose emulation costs programs more than they gain by it. */
const cpu: Record<Accelerator, string> = { tcg: 'Nehalem,+rdrand', kvm: 'host' }

const drive = (file: string, rest: string) => `file=${file},format=raw,if=virtio,${rest}`

export function commandLine(options: MachineOptions, files: MachineFiles): string[] {
  const { accelerator, processors, memoryMiB } = options
  return [
    '-no-user-config', '-nodefaults', '-display', 'none', '-no-reboot',
    '-accel', accelerator, '-cpu', cpu[accelerator], '-smp', String(processors), '-m', String(memoryMiB),
    '-kernel', files.kernel, '-initrd', files.initialRamDisk,
    // A panic ends the machine (-no-reboot) at once, and whatever is no more than an oops is a panic.
    '-append', 'console=ttyS0 quiet loglevel=4 panic=-1 oops=panic mitigations=off',
    '-drive', drive(files.disk, 'snapshot=on,cache=unsafe'),
    '-drive', drive(files.payload, 'readonly=on'),
    '-serial', `file:${files.console}`,
    '-device', 'virtio-serial-pci',
    '-chardev', 'stdio,id=tests,signal=off', '-device', `virtserialport,chardev=tests,name=${portName}`,
  ] // prettier-ignore
}
