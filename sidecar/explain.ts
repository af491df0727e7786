/** Prints what is done for which notice: `node sidecar/explain.ts`, in a pod `node /opt/reprieve/sidecar/explain.js`. */
import { explainAnswers } from './notices/answers.ts'

process.stdout.write(explainAnswers())
