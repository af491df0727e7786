/** What a list on a command line, a call's arguments or a buffer could not hold. */
import t from 'tap'
import { pythonImage } from '../images/debian.ts'
import { application, openStage, replaced, type PodOptions } from './support.ts'

const scratch: PodOptions = {
  volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
  spec: { volumes: [{ name: 'scratch', emptyDir: {} }] },
}

t.test('150,000 files in an emptyDir come back', async (t) => {
  const stage = await openStage(t, { base: await pythonImage(), programs: ['many_files.py', 'findings.py'] })
  const command = ['python3', '-u', '/app/many_files.py', '/scratch', '150000']
  const { after } = await replaced(stage, { command, ...scratch }, /^turn/)
  const count = await after.exec(application, ['sh', '-c', 'find /scratch -type f | wc -l'])
  t.equal(count.stdout.trim(), '150000')
  t.notMatch(after.logs(application), /^files/m, 'and the program finds as many as before')
})

for (const folder of ['/tmp/watched', '/scratch/watched'])
  t.test(`1,000 folders are watched in ${folder} by one inotify descriptor, and are so again`, async (t) => {
    const stage = await openStage(t, { base: await pythonImage(), programs: ['watches.py', 'findings.py'] })
    const command = ['python3', '-u', '/app/watches.py', folder, '1000']
    const { before, after } = await replaced(stage, { command, ...scratch }, /^turn/)
    t.match(before.logs(application), /^heard: 3$/m)
    t.notMatch(after.logs(application), /^heard/m, 'each is heard as before')
  })
