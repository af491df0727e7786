import { beside, type RealProgram } from './program.ts'

export const nginx: RealProgram = {
  name: 'nginx',
  about: 'a master and two workers that log each request of a client; the answers, and the lines of the log',
  packages: ['nginx-light', 'python3'],
  files: {
    'nginx.conf': `user root;
worker_processes 2;
daemon off;
pid /tmp/nginx.pid;
error_log /tmp/error.log;
events { worker_connections 64; }
http {
  access_log /tmp/access.log;
  server { listen 127.0.0.1:7003; location / { return 200 "hello $request_uri"; } }
}
`,
    'nginx.py': `import os, time, urllib.request
turn = 0
while True:
    try:
        asked = f'/turn/{turn + 1}'
        assert urllib.request.urlopen(f'http://127.0.0.1:7003{asked}', timeout=20).read().decode() == f'hello {asked}'
    except OSError:
        time.sleep(0.1)
        continue
    turn += 1
    with open('/tmp/turn.new', 'w') as file: file.write(str(turn))
    os.rename('/tmp/turn.new', '/tmp/turn')
    time.sleep(0.1)
`,
  },
  command: beside('nginx -c /program/nginx.conf', 'python3 /program/nginx.py'),
  check: '[ "$(grep -c " 200 " /tmp/access.log)" -ge "$(cat /tmp/turn)" ] && cat /tmp/turn',
}
