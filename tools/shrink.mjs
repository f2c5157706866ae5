// Makes the service's WASM smaller and faster, with wasm-opt.

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

// wasm-opt never removes exports. The crates worker and wasm-streams export classes that this Worker does not use, 4 KB
// gzipped. If one is constructed anyway, JavaScript throws.
const UNUSED = /intounderlying|containerstartupoptions|minifyconfig|r2range/
const EXPORTS = 7
const FLAGS = [
  '-Os',
  '--converge',
  // By default every function that is called once is inlined. V8 compiles a function as a whole when it is first
  // called, so a fresh isolate would also compile code that the request does not need. Inlining only small ones saves
  // 11 KB gzipped, and costs an exchange 3 %.
  '--one-caller-inline-max-function-size=20',
  // The features that rustc emits, and the exceptions that wasm-bindgen catches. No newer ones, which workerd may not
  // support.
  ...['mutable-globals', 'sign-ext', 'nontrapping-float-to-int', 'bulk-memory', 'multivalue', 'reference-types', 'exception-handling'].map(
    (feature) => `--enable-${feature}`,
  ),
]

export function shrink(file) {
  writeFileSync(file, withoutUnused(readFileSync(file), file))
  execFileSync('wasm-opt', [file, '-o', file, ...FLAGS], { stdio: 'inherit' })
}

function withoutUnused(wasm, file) {
  let at = 8

  // Numbers in WASM are LEB128.
  function number() {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++]
      value |= (byte & 127) << shift
      if (byte < 128) return value
    }
  }
  function encoded(value) {
    const bytes = []
    for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128)
    return Buffer.from([...bytes, value])
  }

  const parts = [wasm.subarray(0, 8)]
  let dropped = 0
  while (at < wasm.length) {
    const start = at
    const section = wasm[at++]
    const end = number() + at
    if (section === EXPORTS) {
      const kept = []
      for (let left = number(); left > 0; left--) {
        const entry = at
        const length = number()
        const name = wasm.toString('utf8', at, at + length)
        at += length + 1
        number()
        if (UNUSED.test(name)) dropped++
        else kept.push(wasm.subarray(entry, at))
      }
      const body = Buffer.concat([encoded(kept.length), ...kept])
      parts.push(Buffer.from([EXPORTS]), encoded(body.length), body)
    } else {
      parts.push(wasm.subarray(start, end))
    }
    at = end
  }
  if (dropped === 0) throw new Error(`${file} has none of the exports that UNUSED in tools/shrink.mjs matches: update or remove that step`)
  return Buffer.concat(parts)
}
