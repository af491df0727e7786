import { told, type RealProgram } from './program.ts'

export const bash: RealProgram = {
  name: 'bash',
  about:
    'a script of a config map, with an array, here-documents, pipes and subshells; it adds its numbers anew',
  packages: ['bash'],
  files: {
    'bash.sh': `total=0
for ((turn = 1; ; turn++)); do
  seen[turn % 500]=$((turn * turn)); total=$((total + turn))
  added=$(printf '%s\\n' $total $turn | (read -r a; read -r b; echo $((a + b))))
  [ "$added" = "$((total + turn))" ] && [ "$total" = "$((turn * (turn + 1) / 2))" ] || { echo "broken at $turn"; exit 1; }
  [ "\${seen[turn % 500]}" = "$((turn * turn))" ] || exit 1
  echo "$turn" >/tmp/turn.new && mv /tmp/turn.new /tmp/turn
  sleep 0.1
done
`,
  },
  command: ['bash', '/program/bash.sh'],
  check: told,
}
