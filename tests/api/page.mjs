// Tests the reference page in a browser, over the DevTools protocol: a reader searches, gets a token, exchanges it and
// revokes the new one. Needs Chromium (CHROMIUM names it). Without Chromium it prints that and passes.
//   ORIGIN=… CLIENT_ID=… CLIENT_SECRET=… node tests/api/page.mjs

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const { ORIGIN, CLIENT_ID, CLIENT_SECRET, CHROMIUM } = process.env
const names = CHROMIUM ? [CHROMIUM] : ['chromium', 'chromium-browser', 'google-chrome']
const found = names.find((name) => spawnSync(name, ['--version']).status === 0)
if (!found) {
  console.log('Skipped: the page in a browser, since Chromium was not found (set CHROMIUM to its path)')
  process.exit()
}

const profile = mkdtempSync(join(tmpdir(), 'page-'))
const flags = ['--headless', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--remote-debugging-port=0']
if (process.getuid() === 0) flags.push('--no-sandbox')
const browser = spawn(found, [...flags, `--user-data-dir=${profile}`], { stdio: ['ignore', 'ignore', 'pipe'] })
const overall = setTimeout(() => fail(new Error('the browser test took longer than 60 seconds')), 60_000)
const end = () => {
  clearTimeout(overall)
  browser.kill('SIGKILL')
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
}
const fail = (error) => {
  console.error(error)
  end()
  process.exit(1)
}
process.on('uncaughtException', fail)

/** Opens a tab. Returns a function that sends it a command, and the list of its events. */
async function tab() {
  let address
  for await (const line of createInterface({ input: browser.stderr })) {
    address = /DevTools listening on (\S+)/.exec(line)?.[1]
    if (address) break
  }
  assert(address, `${found} did not start`)
  const socket = new WebSocket(address)
  await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }))
  const waiting = new Map()
  const events = []
  socket.onmessage = ({ data }) => {
    const { id, result, error, ...event } = JSON.parse(data)
    if (!id) return events.push(event)
    const { resolve, reject } = waiting.get(id)
    if (error) reject(new Error(error.message))
    else resolve(result)
  }
  let sessionId
  const send = (method, params = {}) =>
    new Promise((resolve, reject) => {
      const id = waiting.size + 1
      waiting.set(id, { resolve, reject })
      socket.send(JSON.stringify({ id, method, params, sessionId }))
    })
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' })
  ;({ sessionId } = await send('Target.attachToTarget', { targetId, flatten: true }))
  for (const domain of ['Page', 'Runtime', 'Network']) await send(`${domain}.enable`)
  return { send, events }
}

const { send, events } = await tab()
const run = async (expression) => {
  const { result, exceptionDetails } = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
  assert(!exceptionDetails, exceptionDetails?.exception?.description)
  return result.value
}
const until = async (expression) => {
  for (let tries = 0; tries < 100; tries++) {
    const value = await run(expression)
    if (value) return value
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.fail(`never true: ${expression}`)
}
const size = (width, height) => send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false })
const press = async (key, code = key) => {
  const text = key.length === 1 ? key : key === 'Enter' ? '\r' : undefined
  await send('Input.dispatchKeyEvent', { type: 'keyDown', key, code, text, windowsVirtualKeyCode: { Enter: 13, Escape: 27 }[key] })
  await send('Input.dispatchKeyEvent', { type: 'keyUp', key, code })
}

// Records what the policy blocks, before any script of the page runs.
await send('Page.addScriptToEvaluateOnNewDocument', {
  source: `addEventListener('securitypolicyviolation', (event) => (window.blocked = [...(window.blocked ?? []), event.violatedDirective + ' ' + event.blockedURI]))`,
})
await size(390, 844)
await send('Page.navigate', { url: `${ORIGIN}/docs` })
await until(`document.readyState === 'complete' && document.querySelector('.opener') !== null`)
assert(await run(`document.querySelector('h1').getBoundingClientRect().top < document.querySelector('nav').getBoundingClientRect().top`), 'on a phone the title comes first')
for (const width of [390, 1280]) {
  await size(width, 900)
  assert.equal(await run('document.documentElement.scrollWidth - document.documentElement.clientWidth'), 0, `nothing overflows at ${width} pixels`)
}

// The current section is marked, and a key opens the search.
await run(`document.getElementById('revokeToken').scrollIntoView()`)
assert.equal(await until(`document.querySelector('nav [aria-current]')?.hash === '#revokeToken' && 'marked'`), 'marked')
const status = `document.querySelector('[role=search] [role=status]').textContent`
await press('/')
await send('Input.insertText', { text: 'invalid_scope' })
assert.match(await until(status), /^\d+ results$/)
await press('Escape')
await press('/')
await send('Input.insertText', { text: 'no such thing' })
assert.match(await until(status), /^No results/)
await press('Escape')

/** Opens an operation's form, fills in its body if one is given, sends it by the keyboard and returns the page's line about the response. */
const tried = async (id, body) => {
  const form = `document.querySelector('#${id} form')`
  if (!(await run(`${form}?.checkVisibility()`))) {
    await run(`document.querySelector('#${id} .opener').focus()`)
    await press('Enter')
    await until(`${form} !== null`)
  }
  if (body) await run(`{ const area = ${form}.querySelector('textarea'); area.value = ${JSON.stringify(JSON.stringify(body))}; area.dispatchEvent(new Event('input')) }`)
  await run(`${form}.querySelector('[type=submit]').focus()`)
  await press('Enter')
  return until(`/^\\d/.test(${form}.querySelector('.said').textContent) && ${form}.querySelector('.said').textContent`)
}
const click = (id, text) => run(`[...document.querySelectorAll('#${id} form button')].find((it) => it.textContent.startsWith('${text}')).click()`)

assert.match(await tried('issueLongTermToken', { grant_type: 'client_credentials', client_id: CLIENT_ID, client_secret: CLIENT_SECRET }), /^201 .* ms/)
assert(await run(`document.querySelector('#issueLongTermToken form').textContent.includes('x-token-id: tok_lt_')`), 'the headers are shown')
const token = await run(`/eyJ[\\w.-]+/.exec(document.querySelector('#issueLongTermToken form').textContent)[0]`)
await click('issueLongTermToken', 'Use as bearer token')
assert.match(await tried('issueShortTermToken', {}), /^201/)
await click('issueShortTermToken', 'Use as bearer token')
await click('issueShortTermToken', 'Revoke a token')
await until(`document.querySelector('#revokeToken form input')?.value.startsWith('tok_st_')`)
assert.equal(await run(`document.querySelector('#revokeToken .bearer').type`), 'password')
assert.match(await tried('revokeToken'), /^204/)
assert.match(await tried('revokeToken'), /^204/, 'a token that revoked itself may repeat the call')

// The token is in no URL, storage, attribute or request to another origin.
assert.equal(await run(`document.URL`), `${ORIGIN}/docs`)
assert.equal(await run(`localStorage.length + sessionStorage.length + document.cookie.length`), 0)
assert.equal(await run(`(async () => (await indexedDB.databases()).length + (await caches.keys()).length)()`), 0)
assert.deepEqual(await run(`[...document.querySelectorAll('*')].flatMap((it) => [...it.attributes]).filter((it) => it.value.includes('${token}')).map((it) => it.name)`), [])
assert.deepEqual(await run(`window.blocked ?? []`), [])
const urls = events.filter(({ method }) => method === 'Network.requestWillBeSent').map(({ params }) => params.request.url)
assert(urls.length >= 6)
for (const url of urls) assert(url.startsWith(`${ORIGIN}/`) && !url.includes(token), url)

// The token can't leave the page: the policy blocks requests to other origins.
assert.equal(await run(`fetch('http://127.0.0.2:1/').then(() => 'sent', () => 'refused')`), 'refused')
assert.deepEqual(await run(`[...new Set(window.blocked)]`), ['connect-src http://127.0.0.2:1/'])
// After navigation away and back, the token is gone.
await send('Page.navigate', { url: `${ORIGIN}/healthz` })
await until(`location.pathname === '/healthz'`)
await run(`history.back()`)
await until(`location.pathname === '/docs' && document.readyState === 'complete'`)
assert(!(await run(`document.documentElement.textContent.includes('${token}')`)))
end()
console.log('The page works in a browser, and no token leaves it')
process.exit()
