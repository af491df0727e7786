import type { RealProgram } from './program.ts'

const asPostgres = 'setpriv --reuid=postgres --regid=postgres --clear-groups'
const psql = `${asPostgres} psql --host=/tmp --port=7002 --no-psqlrc --quiet --tuples-only --no-align postgres`

export const postgresql: RealProgram = {
  name: 'postgresql',
  about:
    'a server in the container’s own layer, and a session with a temporary table; every row, and `amcheck`',
  packages: ['postgresql'],
  files: {
    'postgresql.sh': `set -e
bin=$(echo /usr/lib/postgresql/*/bin)
install -d -o postgres -m 700 /var/lib/data
${asPostgres} $bin/initdb --pgdata=/var/lib/data --auth=trust --no-sync >/dev/null
${asPostgres} $bin/postgres -D /var/lib/data -p 7002 -k /tmp -c listen_addresses= -c shared_buffers=16MB -c max_connections=10 &
until ${psql} -c 'select 1' >/dev/null 2>&1; do sleep 0.2; done
${psql} -c 'create extension amcheck' -c 'create table t(n bigint primary key, square bigint)'
# One session for all: its temporary table is lost with it.
{
  echo 'create temporary table own(n bigint);'
  for ((turn = 1; ; turn++)); do
    echo "begin; insert into own values ($turn); insert into t select count(*), count(*) * count(*) from own; commit;"
    sleep 0.1
  done
} | ${psql} -v ON_ERROR_STOP=1
`,
  },
  command: ['bash', '/program/postgresql.sh'],
  check: `[ "$(${psql} -c 'select count(*) from t where square <> n * n')" = 0 ] &&
    ${psql} -c "select bt_index_check('t_pkey')" >/dev/null &&
    ${psql} -c 'select case when count(*) = max(n) then count(*) end from t'`,
}
