/** Hook and probe handlers (pkg/kubelet/lifecycle/handlers.go, pkg/probe). */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { connect } from 'node:net'
import { sleep } from './deadline.ts'
import type { ContainerSpec, Handler, HttpGet } from './manifest.ts'

export type HandlerTarget = {
  spec: ContainerSpec
  podIp: string
  exec: (
    argv: string[],
    deadlineMs: number,
  ) => Promise<{ code: number; stdout: string; stderr: string; timedOut: boolean }>
}

export type HandlerResult = { ok: true } | { ok: false; message: string }

export async function runHandler(
  handler: Handler,
  target: HandlerTarget,
  deadlineMs: number,
): Promise<HandlerResult> {
  try {
    if (handler.exec !== undefined) {
      const { code, stdout, stderr, timedOut } = await target.exec(handler.exec.command, deadlineMs)
      return code === 0 && !timedOut
        ? { ok: true }
        : failed(timedOut ? 'ran past its time' : `exited ${code}: ${stdout}${stderr}`)
    }
    if (handler.httpGet !== undefined) return await httpGet(handler.httpGet, target, deadlineMs)
    if (handler.sleep !== undefined) {
      await sleep(Math.min(handler.sleep.seconds * 1000, deadlineMs))
      return { ok: true }
    }
    if (handler.tcpSocket !== undefined) {
      const { host, port } = handler.tcpSocket
      return await tcpConnect(host ?? target.podIp, portNumber(port, target.spec), deadlineMs)
    }
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error))
  }
  return failed('the handler names no action')
}

const failed = (message: string): HandlerResult => ({ ok: false, message })

function portNumber(port: number | string, spec: ContainerSpec): number {
  if (typeof port === 'number') return port
  const named = spec.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port)
  if (!Number.isInteger(named)) throw new Error(`container ${spec.name} has no port ${port}`)
  return named
}

/** 200 to 399 is success, redirects are not followed here, certificates are not looked at (pkg/probe/http). */
function httpGet(get: HttpGet, target: HandlerTarget, deadlineMs: number): Promise<HandlerResult> {
  const request = get.scheme?.toUpperCase() === 'HTTPS' ? httpsRequest : httpRequest
  const headers = Object.fromEntries((get.httpHeaders ?? []).map(({ name, value }) => [name, value]))
  return new Promise((resolve) => {
    const call = request(
      {
        host: get.host || target.podIp,
        port: portNumber(get.port, target.spec),
        path: `/${(get.path ?? '').replace(/^\//, '')}`,
        headers: { 'user-agent': 'kube-probe/1.36', ...headers },
        timeout: deadlineMs,
        agent: false,
        rejectUnauthorized: false,
      } as RequestOptions,
      (response) => {
        response.resume()
        const status = response.statusCode ?? 0
        resolve(status >= 200 && status < 400 ? { ok: true } : failed(`HTTP status ${status}`))
      },
    )
    call.on('timeout', () => call.destroy(new Error(`no answer in ${deadlineMs} ms`)))
    call.on('error', (error) => resolve(failed(error.message)))
    call.end()
  })
}

function tcpConnect(host: string, port: number, deadlineMs: number): Promise<HandlerResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: deadlineMs })
    const end = (result: HandlerResult) => {
      socket.destroy()
      resolve(result)
    }
    socket.on('connect', () => end({ ok: true }))
    socket.on('timeout', () => end(failed(`no connection in ${deadlineMs} ms`)))
    socket.on('error', (error) => end(failed(error.message)))
  })
}
