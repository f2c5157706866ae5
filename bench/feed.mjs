// node bench/feed.mjs   measures the feed's object alone, in workerd: reports per second, and the cost of a copy as the feed grows.
//
// A small Worker calls the object as clients' objects and isolates do. Run `make worker` first. It connects only to
// 127.0.0.1, and ends by itself after half a minute.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRequire } from 'node:module'

const SECONDS = 3
const root = new URL('../', import.meta.url)
const WORKER = `
import { Feed } from './index.js'
export { Feed }
export default {
  async fetch(request, env) {
    const feed = env.FEED.get(env.FEED.idFromName('feed'))
    return feed.fetch('https://feed/', { method: 'POST', body: await request.text() })
  },
}`

const free = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

const folder = mkdtempSync(join(tmpdir(), 'feed-'))
const port = await free()
const date = /compatibility_date = "(.*)"/.exec(readFileSync(new URL('wrangler.toml', root), 'utf8'))[1]
mkdirSync(join(folder, 'objects'))
for (const module of ['index.js', 'index_bg.wasm']) {
  writeFileSync(join(folder, module), readFileSync(new URL(`build/${module}`, root)))
}
writeFileSync(join(folder, 'main.js'), WORKER)
writeFileSync(
  join(folder, 'config.capnp'),
  `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main), (name = "disk", disk = (path = "${folder}/objects", writable = true))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [(name = "main.js", esModule = embed "main.js"), (name = "index.js", esModule = embed "index.js"),
    (name = "index_bg.wasm", wasm = embed "index_bg.wasm")],
  compatibilityDate = "${date}",
  bindings = [(name = "FEED", durableObjectNamespace = "Feed")],
  durableObjectNamespaces = [(className = "Feed", uniqueKey = "feed", enableSql = true, preventEviction = true)],
  durableObjectStorage = (localDisk = "disk"),
);
`,
)
const workerd = createRequire(import.meta.url)('workerd').default
const server = spawn(workerd, ['serve', join(folder, 'config.capnp')], { stdio: ['ignore', 'ignore', 'inherit'] })
const finish = () => {
  server.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
process.on('exit', finish)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130))

const agent = new Agent({ keepAlive: true, maxSockets: 64 })
function ask(question) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method: 'POST', agent }, (response) => {
      const pieces = []
      response.on('data', (piece) => pieces.push(piece))
      response.on('end', () => resolve(JSON.parse(Buffer.concat(pieces)).Ok))
    })
    sent.on('error', reject)
    sent.end(JSON.stringify(question))
  })
}
const end = () => ({
  key: `parent:${randomBytes(16).toString('base64url')}`,
  at: Math.floor(Date.now() / 1000),
  keep: 3600,
  number: 1,
})
const report = (ends) => ask({ Report: Array.from({ length: ends }, end) })
const cpu = () => {
  const fields = readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

for (let tries = 0; ; tries++) {
  try {
    await report(1)
    break
  } catch (error) {
    if (tries > 100) throw error
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Sends requests for SECONDS over `connections` connections, and prints rate, latency and CPU time. */
async function load(title, connections, question) {
  const [start, used] = [performance.now(), cpu()]
  const times = []
  const one = async () => {
    while (performance.now() - start < SECONDS * 1000) {
      const began = performance.now()
      if (!(await question())) throw new Error('the feed refused a request')
      times.push(performance.now() - began)
    }
  }
  await Promise.all(Array.from({ length: connections }, one))
  const seconds = (performance.now() - start) / 1000
  times.sort((a, b) => a - b)
  const milliseconds = (part) => times[Math.floor(times.length * part)].toFixed(1)
  console.log(
    `${title.padEnd(44)} ${Math.round(times.length / seconds)}/s, p50 ${milliseconds(0.5)} ms, p99 ${milliseconds(0.99)} ms, ` +
      `CPU ${(((cpu() - used) * 1000) / times.length).toFixed(0)} µs each`,
  )
}

await load('reports of one end, one at a time', 1, () => report(1))
await load('reports of one end, 64 at a time', 64, () => report(1))
await load('reports of 10 ends, 64 at a time', 64, () => report(10))
for (const size of [10_000, 100_000]) {
  let { seq } = await ask({ Ends: { since: null } })
  while (seq < size) seq = (await report(Math.min(500, size - seq))).seq
  const began = performance.now()
  const whole = await ask({ Ends: { since: null } })
  const took = performance.now() - began
  console.log(`${`the full feed, ${whole.entries.length} entries`.padEnd(44)} ${took.toFixed(0)} ms`)
  await load(`an empty delta, ${whole.entries.length} entries, 16 at a time`, 16, () => ask({ Ends: { since: whole.seq } }))
  await load(`reports of one end, with ${whole.entries.length} entries`, 64, () => report(1))
}
process.exit(0)
