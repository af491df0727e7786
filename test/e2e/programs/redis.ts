import { beside, type RealProgram } from './program.ts'

const cli = 'redis-cli -p 7001'

export const redis: RealProgram = {
  name: 'redis',
  about: 'a server with 20,000 keys in memory only, and a client; the keys are counted, and one is compared',
  packages: ['redis-server'],
  files: {
    'redis.sh': `until ${cli} ping | grep -q PONG; do sleep 0.1; done
${cli} eval "for i = 1, 20000 do redis.call('set', 'key' .. i, i * i) end" 0
# A connection that a restore finds open comes back closed.
while true; do ${cli} incr turn >/dev/null; sleep 0.1; done
`,
  },
  command: beside(
    "redis-server --port 7001 --save '' --appendonly no --dir /tmp >/tmp/redis.log",
    'bash /program/redis.sh',
  ),
  check: `[ "$(${cli} get key12345)" = 152399025 ] && [ "$(${cli} dbsize)" -ge 20001 ] && ${cli} get turn`,
}
