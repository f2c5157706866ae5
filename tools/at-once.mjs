// node tools/at-once.mjs TITLE NAME COMMAND [NAME COMMAND …]   runs the commands in parallel, and shows their progress
//
// A command's output goes to .tools/log/NAME. At the end its last line is shown, or more if it failed. Nothing is shown
// for the first two seconds.

import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'

const [title, ...rest] = process.argv.slice(2)
const isTerminal = process.stdout.isTTY
const started = Date.now()
let isShown = false

mkdirSync('.tools/log', { recursive: true })
const jobs = []
for (let at = 0; at < rest.length; at += 2) jobs.push(start(rest[at], rest[at + 1]))
const timers = [setTimeout(show, 2_000), setInterval(show, isTerminal ? 1_000 : 30_000)]

function start(name, command) {
  const job = { name, log: `.tools/log/${name.replaceAll(/\W+/g, '-')}`, progress: '…', status: undefined }
  const log = openSync(job.log, 'w')
  const env = { ...process.env, CARGO_TERM_PROGRESS_WHEN: 'always', CARGO_TERM_PROGRESS_WIDTH: '80' }
  job.child = spawn('bash', ['-ec', command], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  for (const stream of [job.child.stdout, job.child.stderr]) {
    stream.on('data', (data) => {
      writeSync(log, data)
      // cargo's own progress: the crates compiled so far, of all.
      job.progress = [...`${data}`.matchAll(/\] (\d+\/\d+)/g)].at(-1)?.[1] ?? job.progress
    })
  }
  job.child.on('close', (status) => {
    closeSync(log)
    job.status = status ?? 1
    job.progress = status === 0 ? 'done' : job.child.killed ? 'stopped' : 'failed'
    if (job.progress === 'failed') for (const other of jobs) other.status ?? other.child.kill()
    if (isShown && !isTerminal) show()
    if (jobs.every((job) => job.status !== undefined)) finish()
  })
  return job
}

function show() {
  if (!isShown) console.log(`== ${title}`)
  isShown = true
  const seconds = Math.round((Date.now() - started) / 1000)
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
  const line = `   ${clock}  ${jobs.map(({ name, progress }) => `${name} ${progress}`).join(', ')}`
  if (isTerminal) process.stdout.write(`\r\x1b[K${line.slice(0, (process.stdout.columns || 80) - 1)}`)
  else console.log(line)
}

function finish() {
  timers.forEach(clearInterval)
  if (isShown && isTerminal) {
    show()
    console.log()
  }
  const ends = jobs.map((job) => ({ ...job, lines: outputOf(job) }))
  const failed = ends.find(({ progress }) => progress === 'failed')
  if (!failed) {
    if (isShown) for (const { name, lines } of ends) if (lines.length > 0) console.log(`   ${name}: ${lines.at(-1).trim()}`)
    return
  }
  console.error(`${failed.lines.slice(-60).join('\n')}\n\n"${failed.name}" failed. All of its output is in ${failed.log}.`)
  process.exitCode = 1
}

// The lines of a job's output, without overwritten progress lines.
function outputOf({ log }) {
  const lines = readFileSync(log, 'utf8').split('\n').map((line) => line.replace(/^.*\r(\x1b\[K)?/, ''))
  return lines.filter((line) => line.trim() !== '')
}
