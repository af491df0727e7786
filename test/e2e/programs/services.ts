/** Servers and supervisors, each with a client that asks it. */
import { beside, tell, told, type RealProgram } from './program.ts'

const mysql = 'mariadb --no-defaults --socket=/tmp/mysql.sock --user=root --batch --skip-column-names'

export const mariadb: RealProgram = {
  name: 'mariadb',
  about: 'a server with InnoDB in the container’s own layer; `check table`, and every row is there',
  packages: ['mariadb-server', 'mariadb-client'],
  files: {
    'mariadb.sh': `set -e
mariadb-install-db --no-defaults --user=mysql --datadir=/var/lib/data --skip-test-db >/dev/null
mariadbd --no-defaults --user=mysql --datadir=/var/lib/data --socket=/tmp/mysql.sock --skip-networking \\
  --innodb-buffer-pool-size=16M --innodb-use-native-aio=0 --pid-file=/tmp/mysql.pid 2>/tmp/mysql.log &
until ${mysql} -e 'select 1' >/dev/null 2>&1; do sleep 0.3; done
${mysql} -e 'create database d; create table d.t(n bigint primary key, square bigint)'
for ((turn = 1; ; turn++)); do ${mysql} -e "insert into d.t values ($turn, $turn * $turn)"; sleep 0.1; done
`,
  },
  command: ['bash', '/program/mariadb.sh'],
  check: `${mysql} -e 'check table d.t' | grep -q 'OK$' && [ "$(${mysql} -e 'select count(*) from d.t where square <> n * n')" = 0 ] &&
    ${mysql} -e 'select if(count(*) = max(n), count(*), "gaps") from d.t'`,
}

export const memcached: RealProgram = {
  name: 'memcached',
  about: 'a server with a thousand values in memory only, and a client; a value is compared',
  packages: ['memcached'],
  files: {
    'memcached.sh': `ask() { exec 3<>/dev/tcp/127.0.0.1/7005 && printf "$1" >&3 && read -r -t 20 answer <&3 && exec 3>&-; }
until ask 'set counter 0 0 1\\r\\n0\\r\\n'; do sleep 0.2; done 2>/dev/null
for ((n = 1; n <= 1000; n++)); do printf 'set key%d 0 0 %d noreply\\r\\n%d\\r\\n' $n $(printf %d $((n * n)) | wc -c) $((n * n)); done >/tmp/all
exec 4<>/dev/tcp/127.0.0.1/7005; cat /tmp/all >&4; exec 4>&-
while true; do ask 'incr counter 1\\r\\n'; sleep 0.1; done
`,
    'memcached-check.sh': `exec 3<>/dev/tcp/127.0.0.1/7005; printf 'get key999\\r\\nget counter\\r\\n' >&3
for line in 1 2 3 4 5; do read -r -t 20 said[line] <&3; done
[ "\${said[2]}" = $'998001\\r' ] || exit 1
echo "\${said[5]}"
`,
  },
  command: beside('memcached -l 127.0.0.1 -p 7005 -u root', 'bash /program/memcached.sh'),
  check: 'bash /program/memcached-check.sh',
}

export const supervisord: RealProgram = {
  name: 'supervisord',
  about: 'two programs that it keeps alive; both run with the numbers that it knows, and are started once',
  packages: ['supervisor'],
  files: {
    'supervisord.conf': `[supervisord]
nodaemon=true
user=root
logfile=/tmp/supervisord.log
pidfile=/tmp/supervisord.pid
[unix_http_server]
file=/tmp/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///tmp/supervisor.sock
[program:one]
command=bash /program/one.sh
[program:two]
command=bash /program/two.sh
`,
    'one.sh': `echo one >>/tmp/starts; for ((turn = 1; ; turn++)); do ${tell}; sleep 0.1; done
`,
    'two.sh': `echo two >>/tmp/starts; while sleep 0.1; do :; done
`,
  },
  command: ['supervisord', '-c', '/program/supervisord.conf'],
  check: `[ "$(supervisorctl -c /program/supervisord.conf status | grep -c RUNNING)" = 2 ] && [ "$(wc -l < /tmp/starts)" = 2 ] && ${told}`,
}

export const tini: RealProgram = {
  name: 'tini',
  about: 'an init process that reaps the orphans of a shell; no zombie is left',
  packages: ['tini'],
  files: {
    'tini.sh': `for ((turn = 1; ; turn++)); do (sleep 0.2 &); ${tell}; sleep 0.1; done
`,
  },
  command: ['tini', '-s', '--', 'bash', '/program/tini.sh'],
  check: `[ "$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c '(sleep) Z')" -lt 4 ] && ${told}`,
}

export const cron: RealProgram = {
  name: 'cron',
  about: 'a job each minute; each minute is told once',
  packages: ['cron'],
  files: {
    'cron.sh': `echo '* * * * * root date +\\%F.\\%R >> /tmp/minutes' > /etc/cron.d/minutes; : > /tmp/minutes; exec cron -f
`,
  },
  command: ['bash', '/program/cron.sh'],
  // Three for each minute: a program has to come further by three.
  check: '[ -z "$(uniq -d /tmp/minutes)" ] && echo $(($(wc -l < /tmp/minutes) * 3))',
}

export const gunicorn: RealProgram = {
  name: 'gunicorn',
  about: 'a master and two workers that count in memory; the answers, and a client',
  packages: ['gunicorn', 'python3-gunicorn', 'python3'],
  files: {
    'application.py': `import os
count = 0
def application(environ, start):
    global count
    count += 1
    start('200 OK', [('Content-Type', 'text/plain')])
    return [f'{os.getpid()} {count}'.encode()]
`,
    'gunicorn.py': `import os, time, urllib.request
seen, turn = {}, 0
while True:
    try:
        pid, count = urllib.request.urlopen('http://127.0.0.1:7008', timeout=20).read().split()
    except OSError:
        time.sleep(0.2)
        continue
    assert int(count) == seen.get(pid, 0) + 1, (pid, count, seen)
    seen[pid] = int(count)
    turn += 1
    with open('/tmp/turn.new', 'w') as file: file.write(str(turn))
    os.rename('/tmp/turn.new', '/tmp/turn')
    time.sleep(0.1)
`,
  },
  command: beside(
    'gunicorn --bind 127.0.0.1:7008 --workers 2 --timeout 300 --worker-tmp-dir /tmp --chdir /program application:application',
    'python3 /program/gunicorn.py',
  ),
  check: told,
}

export const mosquitto: RealProgram = {
  name: 'mosquitto',
  about: 'a broker with a retained message for each turn; a new subscriber gets the last one',
  packages: ['mosquitto', 'mosquitto-clients'],
  files: {
    'mosquitto.conf': 'listener 7009 127.0.0.1\nallow_anonymous true\nuser root\npersistence false\n',
    'mosquitto.sh': `until mosquitto_pub -p 7009 -t up -m 1; do sleep 0.2; done 2>/dev/null
for ((turn = 1; ; turn++)); do mosquitto_pub -p 7009 -r -t turn -m $turn; sleep 0.1; done
`,
  },
  command: beside('mosquitto -c /program/mosquitto.conf', 'bash /program/mosquitto.sh'),
  check: 'mosquitto_sub -p 7009 -t turn -C 1 -W 20',
}

export const haproxy: RealProgram = {
  name: 'haproxy',
  about: 'a proxy in front of a server in Python; each answer comes through it',
  packages: ['haproxy', 'python3'],
  files: {
    'haproxy.cfg': `global
  maxconn 64
defaults
  mode http
  timeout connect 20s
  timeout client 20s
  timeout server 20s
frontend in
  bind 127.0.0.1:7010
  default_backend out
backend out
  server one 127.0.0.1:7011
`,
    'haproxy.py': `import http.server, os, threading, time, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(self.path.encode())
    def log_message(self, *words): pass
threading.Thread(target=http.server.HTTPServer(('127.0.0.1', 7011), Handler).serve_forever, daemon=True).start()
turn = 0
while True:
    try:
        assert urllib.request.urlopen(f'http://127.0.0.1:7010/{turn + 1}', timeout=20).read().decode() == f'/{turn + 1}'
    except OSError:
        time.sleep(0.2)
        continue
    turn += 1
    with open('/tmp/turn.new', 'w') as file: file.write(str(turn))
    os.rename('/tmp/turn.new', '/tmp/turn')
    time.sleep(0.1)
`,
  },
  command: beside('haproxy -f /program/haproxy.cfg', 'python3 /program/haproxy.py'),
  check: told,
}
