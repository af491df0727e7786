import { beside, type RealProgram } from './program.ts'

const cli = 'redis-cli -p 7001'

export const redis: RealProgram = {
  name: 'redis',
  about:
    'a server with 20,000 keys in memory only, and a client that stays connected; the keys are counted, one is compared, and the server still knows the name of the client’s connection',
  packages: ['redis-server'],
  files: {
    'redis.sh': `until ${cli} ping | grep -q PONG; do sleep 0.1; done
${cli} eval "for i = 1, 20000 do redis.call('set', 'key' .. i, i * i) end" 0
coproc ${cli}
ask() { echo "$1" >&"\${COPROC[1]}" && read -r -t 60 answer <&"\${COPROC[0]}"; }
ask 'client setname keeper'
for ((turn = 1; ; turn++)); do ask 'incr turn' && [ "$answer" = "$turn" ] || exit 1; sleep 0.1; done
`,
  },
  command: beside(
    "redis-server --port 7001 --save '' --appendonly no --dir /tmp >/tmp/redis.log",
    'bash /program/redis.sh',
  ),
  check: `[ "$(${cli} get key12345)" = 152399025 ] && [ "$(${cli} dbsize)" -ge 20001 ] &&
    [ "$(${cli} client list | grep -c name=keeper)" = 1 ] && ${cli} get turn`,
}
