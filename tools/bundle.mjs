// Makes the two modules that are deployed, index.js and index_bg.wasm, from a Worker's compiled WASM. The Makefile
// compiles it first.
//
//   node tools/bundle.mjs                  the service's, into build/, with optimized WASM
//   node tools/bundle.mjs PACKAGE FOLDER   those of another Worker in this workspace, which exports only `fetch`

import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { buildSync } from 'esbuild'
import { shrink } from './shrink.mjs'

const [name = 'auth-edge', out = 'build'] = process.argv.slice(2)
const isService = name === 'auth-edge'

process.chdir(`${import.meta.dirname}/..`)
const compiled = `target/wasm32-unknown-unknown/release/${name.replaceAll('-', '_')}.wasm`
const work = `target/bundle/${name}`
rmSync(work, { recursive: true, force: true })
mkdirSync(work, { recursive: true })
mkdirSync(out, { recursive: true })
execFileSync('target/debug/bindgen', [compiled, work], { stdio: 'inherit' })

// wasm-bindgen imports the WASM in the "source phase", which esbuild and wrangler don't support; a plain import gives
// them the module too.
writeFileSync(`${work}/index.js`, readFileSync(`${work}/index.js`, 'utf8').replace('import source ', 'import '))
if (isService) copyFileSync('src/edge/entry.js', `${work}/entry.js`)
else writeFileSync(`${work}/entry.js`, `import { fetch } from "./index.js";\nexport default { fetch };\n`)
buildSync({
  entryPoints: [`${work}/entry.js`],
  outfile: `${work}/bundle.js`,
  bundle: true,
  format: 'esm',
  minify: true,
  external: ['./index_bg.wasm', 'cloudflare:*'],
  logLevel: 'warning',
})
if (isService) shrink(`${work}/index_bg.wasm`)

// The WASM is moved last, since make checks its modification time.
renameSync(`${work}/bundle.js`, `${out}/index.js`)
renameSync(`${work}/index_bg.wasm`, `${out}/index_bg.wasm`)
