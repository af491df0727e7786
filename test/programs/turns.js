// Counts, by a timer and a file of its own, as any program of Node.js does.
const { appendFile, readFile } = require('node:fs/promises')
let turn = 0
setInterval(async () => {
  await appendFile('/turns', `${++turn}\n`)
  const lines = (await readFile('/turns', 'utf8')).split('\n')
  console.log(`turn ${turn} of ${lines.length - 1}`)
}, 200)
