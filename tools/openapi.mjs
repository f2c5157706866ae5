// Makes assets/documents.js from openapi.yaml: the texts that the Worker serves at /openapi.json and /docs.
//   node tools/openapi.mjs           writes it
//   node tools/openapi.mjs --check   fails if the file is out of date; `make check` calls this
// Either way, every example must satisfy its schema.

import { readFileSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import Ajv from 'ajv'
import formats from 'ajv-formats'
import { parse } from 'yaml'
import { page } from './docs/page.mjs'

const root = new URL('../', import.meta.url)
const document = parse(readFileSync(new URL('openapi.yaml', root), 'utf8'))

/** Yields each fault of the document beyond its syntax. */
function* faults() {
  const ajv = formats(new Ajv({ allErrors: true, strictTypes: true, keywords: ['example', 'components'] }))
  // References resolve against the whole document, wherever they are in it.
  ajv.addSchema({ $id: 'api', components: document.components }, 'api')
  const absolute = (node) =>
    JSON.parse(JSON.stringify(node), (key, value) => (key === '$ref' ? value.replace('#', 'api#') : value))
  const problem = (schema, value) => {
    const valid = ajv.compile(absolute(schema))
    return valid(value) ? null : ajv.errorsText(valid.errors)
  }
  function* examples(node, path) {
    if (node === null || typeof node !== 'object') return
    if (node.schema) {
      if ('example' in node) yield [`${path}/example`, node.schema, node.example]
      for (const [name, { value }] of Object.entries(node.examples ?? {})) yield [`${path}/examples/${name}`, node.schema, value]
    } else if (node.type && 'example' in node) {
      yield [`${path}/example`, node, node.example]
    }
    for (const [key, child] of Object.entries(node)) if (!/^examples?$/.test(key)) yield* examples(child, `${path}/${key}`)
  }
  let count = 0
  for (const [path, schema, value] of examples(document, '#')) {
    count += 1
    const wrong = problem(schema, value)
    if (wrong) yield `${path}: ${wrong}`
  }
  if (count < 30) yield `only ${count} examples were found`

  const used = new Set(JSON.stringify(document).match(/#\/components\/[^"]*/g))
  for (const [kind, entries] of Object.entries(document.components)) {
    if (kind === 'securitySchemes') continue
    for (const name of Object.keys(entries)) {
      if (!used.has(`#/components/${kind}/${name}`)) yield `components/${kind}/${name} is not used`
    }
  }
  for (const reference of used) {
    if (!reference.slice(2).split('/').reduce((node, key) => node?.[key], document)) yield `${reference} refers to nothing`
  }
}

let failed = false
for (const fault of faults()) {
  console.error(`openapi.yaml: ${fault}`)
  failed = true
}
// The placeholders that `fill` in src/operations/discovery.rs replaces. Each is one control character, which takes
// little code to find.
const [ORIGIN, BASE, ROOT] = ['\u0001', '\u0002', '\u0003']
const html = page(document)
const policy = /Policy content="([^"]*)"/.exec(html)[1]
const texts = {
  openapi: JSON.stringify(document).replace('"url":"/v1"', `"url":"${ROOT}"`),
  docs: `${policy}\n${html.replaceAll('https://auth.example.com/v1<', `${ORIGIN}${BASE}<`).replaceAll('https://auth.example.com', ORIGIN).replaceAll('/v1/', `${BASE}/`).replaceAll('>/v1<', `>${ROOT}<`)}`,
}
const lines = Object.entries(texts).map(([name, text]) => `export const ${name} = () => ${JSON.stringify(text)};\n`)
const made = `// Generated from openapi.yaml by tools/openapi.mjs. In JavaScript, because every isolate would load text inside the WASM.\n${lines.join('')}`
const file = new URL('assets/documents.js', root)
if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== made) {
    console.error('assets/documents.js is out of date; run: node tools/openapi.mjs')
    failed = true
  }
} else if (!failed) {
  writeFileSync(file, made)
  for (const [name, text] of Object.entries(texts)) {
    console.log(`${name}: ${text.length} characters, ${gzipSync(text, { level: 9 }).length} bytes gzipped`)
  }
}
process.exitCode = failed ? 1 : 0
