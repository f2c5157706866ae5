// The page that shows the API: static HTML, readable without its script, which only adds the copy buttons.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

// The Worker puts its own URL in this one's place.
const URL_SHOWN = 'https://auth.example.com'

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8')
const style = read('page.css').replace(/\s*([{};,>])\s*/g, '$1').replace(/:\s+/g, ':').replace(/;}/g, '}').trim()
const script = read('page.js').replace(/\n\s*/g, '\n').trim()
const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
const policy = `default-src 'none'; style-src ${hash(style)}; script-src ${hash(script)}; base-uri 'none'; form-action 'none'`

const escaped = (text) => String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;')
const slug = (text) => text.toLowerCase().replace(/[^a-z]+/g, '-')

/** The part of Markdown that the document uses, in one line. RFCs become links. */
const inline = (text) =>
  escaped(text.replace(/\s+/g, ' '))
    .split(/(`[^`]*`)/)
    .map((part) =>
      part.startsWith('`')
        ? `<code>${part.slice(1, -1)}</code>`
        : part
            .replace(/\*\*(.*?)\*\*/g, '<strong>$1</strong>')
            .replace(/RFC (\d+)(?:, sections? (\d[\d.]*\d|\d))?/g, (name, number, section) =>
              `<a href="https://www.rfc-editor.org/rfc/rfc${number}${section ? `#section-${section}` : ''}">${name}</a>`),
    )
    .join('')

/** Paragraphs and lists. */
const prose = (text = '') =>
  text
    .trim()
    .split(/\n\n/)
    .filter(Boolean)
    .map((block) =>
      block.startsWith('- ')
        ? `<ul>${block.slice(2).split(/\n- /).map((item) => `<li>${inline(item)}`).join('')}</ul>`
        : `<p>${inline(block)}`,
    )
    .join('')

export function page(api) {
  const resolve = (node) => (node?.$ref ? node.$ref.slice(2).split('/').reduce((at, key) => at[key], api) : node)
  const base = api.servers[0].url
  const operations = Object.entries(api.paths).flatMap(([path, { servers, ...methods }]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      method: method.toUpperCase(),
      path: servers ? path : base + path,
      parameters: (operation.parameters ?? []).map(resolve),
      schemes: (operation.security ?? []).flatMap(Object.keys),
    })),
  )

  const limits = (schema) => {
    const { minimum, maximum, minItems, maxItems, minLength, maxLength, pattern } = schema
    const said = []
    if (schema.enum) said.push(schema.enum.map((value) => `<code>${escaped(value)}</code>`).join(' or '))
    const range = (least, most, unit) => {
      if (least !== undefined && most !== undefined) said.push(`${least} to ${most}${unit}`)
      else if (most !== undefined) said.push(`at most ${most}${unit}`)
      else if (least > 1) said.push(`at least ${least}${unit}`)
    }
    range(minimum, maximum, '')
    range(minItems, maxItems, ' items')
    range(minLength, maxLength, ' characters')
    if (pattern) said.push(`like <code>${escaped(pattern)}</code>`)
    if ('default' in schema) said.push(`default ${schema.default}`)
    return said
  }
  const typeOf = (schema) => {
    if (schema.type === 'array') return `array of ${typeOf(resolve(schema.items))}s`
    return (schema.format ?? schema.type) + (schema.nullable ? ' or null' : '')
  }
  /** What an object holds. In an answer, what is always there or always of one form goes without saying, and so does what lies deep. */
  const fields = (schema, asked, depth = 0) => {
    const row = ([name, property]) => {
      const own = resolve(property)
      const required = asked && schema.required?.includes(name) ? '<em>required</em>' : ''
      const items = own.items ? resolve(own.items) : null
      const bounds = [own, items].filter(Boolean).flatMap((it) => limits(asked ? it : { enum: it.enum, maximum: it.maximum }))
      const about = prose(own.description) + (bounds.length ? `<p class="limits">${bounds.join('; ')}` : '')
      const inner = items ?? own
      const below = inner.properties && (asked || depth === 0) ? fields(inner, asked, depth + 1) : ''
      return `<dt><code>${name}</code><span>${typeOf(own)}</span>${required}${about || below ? `<dd>${about}${below}` : ''}`
    }
    return `<dl>${Object.entries(schema.properties).map(row).join('')}</dl>`
  }

  const json = (value) =>
    escaped(JSON.stringify(value, null, 2).replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, list) => `[${list.replace(/\s*\n\s*/g, ' ')}]`))
      .replace(/^(\s*)("[^"]*")(?=: )/gm, '$1<b>$2</b>')
  const box = (text) => `<div class="box"><pre tabindex="0">${text}</pre></div>`

  /** The call of an operation as a line for a shell, with one of its example bodies. */
  const curl = (operation, mediaType, example) => {
    const { method, parameters } = operation
    const path = operation.path.replace(/\{(\w+)\}/g, (_, name) => parameters.find((it) => it.name === name).example)
    const implied = example ? 'POST' : 'GET'
    const lines = [`curl ${method === implied ? '' : `-X ${method} `}${URL_SHOWN}${path}`]
    const scheme = example?.['x-security'] ?? operation.schemes[0]
    if (scheme === 'ClientKey') lines.push(`-H 'X-Client-Id: ${example.value.client_id}'`)
    else if (scheme) lines.push(`-H "Authorization: Bearer $${scheme === 'LongTokenAuth' ? 'LONG' : 'SHORT'}_TOKEN"`)
    if (mediaType?.endsWith('json')) {
      lines.push(`-H 'Content-Type: ${mediaType}'`, `-d '${json(example.value).replace(/\n/g, '\n  ')}'`)
    } else if (example) {
      lines.push(...Object.entries(example.value).map(([name, value]) => `-d ${name}=${value}`))
    }
    return box(lines.join(' \\\n  '))
  }

  const samples = (operation) => {
    const name = operation.operationId
    const fold = (entries, group) =>
      entries.map(([title, text], at) => `<details name="${name}-${group}"${at ? '' : ' open'}><summary>${inline(title)}</summary>${text}</details>`).join('')
    const sample = (entries, group) =>
      `<div class="sample">${entries.length > 1 ? fold(entries, group) : `<p>${inline(entries[0][0])}</p>${entries[0][1]}`}</div>`
    const requests = Object.entries(operation.requestBody?.content ?? {}).flatMap(([mediaType, { examples }]) =>
      Object.values(examples).map((example) => [example.summary, curl(operation, mediaType, example)]),
    )
    const answers = Object.entries(operation.responses).flatMap(([status, response]) =>
      Object.values(resolve(response).content ?? {}).flatMap(({ example, examples }) => {
        if (status >= 500) return []
        if (example) return [[`${status} ${resolve(response).description}`, box(json(example))]]
        return Object.entries(examples ?? {}).map(([key, { value }]) => [`${status} ${value.code ?? key}`, box(json(value))])
      }),
    )
    const first = answers.filter(([title], at) => answers.findIndex((it) => it[0] === title) === at)
    return sample(requests.length ? requests : [['Request', curl(operation)]], 'request') + (first.length ? sample(first, 'answer') : '')
  }

  const answers = (operation) => {
    const row = ([status, reference]) => {
      const response = resolve(reference)
      const kinds = Object.values(response.content ?? {}).flatMap(({ examples }) => Object.values(examples ?? {}))
      const codes = kinds.filter(({ value }) => value.code).map(({ value, summary }) => `<p><code>${value.code}</code> ${inline(summary)}</p>`)
      const headers = Object.entries(response.headers ?? {})
        .filter(([name]) => name !== 'Cache-Control')
        .map(([name, header]) => `<p class="quiet"><code>${name}</code> ${inline(resolve(header).description)}</p>`)
      const kept = resolve(response.headers?.['Cache-Control'])?.schema.enum[0]
      if (kept && kept !== 'no-store') headers.push(`<p class="quiet"><code>Cache-Control: ${kept}</code>`)
      const about = codes.join('') + headers.join('')
      return `<dt><code class="s${status[0]}">${status}</code><span>${inline(response.description)}</span>${about && `<dd>${about}`}`
    }
    return `<h4>Answers</h4><dl>${Object.entries(operation.responses).map(row).join('')}</dl>`
  }

  const section = (operation) => {
    const { operationId: id, method, path, parameters, requestBody, schemes } = operation
    const sent = (place, title) => {
      const own = parameters.filter((it) => it.in === place)
      const properties = Object.fromEntries(own.map((it) => [it.name, { ...resolve(it.schema), description: it.description }]))
      const required = own.filter((it) => it.required).map((it) => it.name)
      return own.length ? `<h4>${title}</h4>${fields({ required, properties }, true)}` : ''
    }
    const [success, response] = Object.entries(operation.responses)[0]
    const bodies = Object.entries(requestBody?.content ?? {})
    const mediaTypes = bodies.map(([mediaType]) => `<code>${mediaType}</code>`).join(' or ')
    const returned = resolve(response.content?.['application/json']?.schema)
    const head = [
      `<h3><a href="#${id}">${operation.summary}</a></h3>`,
      `<p class="path"><b class="${method}">${method}</b> ${path}`,
      prose(operation.description),
      schemes.length ? `<p class="quiet">Authorized by ${schemes.map((name) => `<a href="#${name}">${name}</a>`).join(' or ')}` : '',
    ]
    const rest = [
      sent('path', 'In the path'),
      sent('query', 'In the query'),
      sent('header', 'Headers'),
      bodies.length ? `<h4>Body ${mediaTypes}</h4>${prose(requestBody.description)}${fields(resolve(bodies[0][1].schema), true)}` : '',
      returned?.properties ? `<h4>${success} returns</h4>${fields(returned)}` : '',
      answers(operation),
    ]
    const parts = [head.join(''), samples(operation), rest.join('')]
    return `<section class="operation" id="${id}">${parts.map((part) => `<div>${part}</div>`).join('')}</section>`
  }

  /** Every code, with where it comes. */
  const codes = () => {
    const rows = new Map()
    for (const operation of operations) {
      for (const [status, reference] of Object.entries(operation.responses)) {
        for (const { examples } of Object.values(resolve(reference).content ?? {})) {
          for (const { value } of Object.values(examples ?? {})) {
            if (!value.code) continue
            const key = `<td class="s${status[0]}">${status}<td><code>${value.code}</code>`
            rows.set(key, (rows.get(key) ?? new Set()).add(operation.operationId))
          }
        }
      }
    }
    const where = (ids) => (ids.size === operations.length ? 'everything' : [...ids].map((id) => `<a href="#${id}">${id}</a>`).join(', '))
    const sorted = [...rows].sort(([a], [b]) => a.localeCompare(b))
    return `<div class="table" tabindex="0"><table><tr><th scope="col">Status<th scope="col">Code<th scope="col">Answered by${sorted.map(([key, ids]) => `<tr>${key}<td>${where(ids)}`).join('')}</table></div>`
  }

  const schemes = Object.entries(api.components.securitySchemes)
    .map(([name, scheme]) => {
      const header = scheme.type === 'apiKey' ? `${scheme.name}: &lt;client_id>` : 'Authorization: Bearer &lt;token>'
      return `<dt id="${name}"><code>${name}</code><span>${header}</span><dd>${prose(scheme.description)}`
    })
    .join('')

  const { code, ...others } = api.components.schemas.AuthError.properties
  const refusal = { properties: { code: { ...code, enum: undefined }, ...others } }

  const sections = api.tags.map(({ name, description }) => {
    const own = operations.filter(({ tags }) => tags.includes(name))
    return {
      links: `<li class="group">${name}` + own.map((it) => `<li><a href="#${it.operationId}">${it.summary}</a>`).join(''),
      html: `<section class="tag" id="${slug(name)}"><h2><a href="#${slug(name)}">${name}</a></h2>${prose(description)}${own.map(section).join('')}</section>`,
    }
  })

  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${api.info.title}: the API</title>
<style>${style}</style>
<a class="skip" href="#main">To the content</a>
<nav aria-label="Contents"><p><a href="#main">${api.info.title}</a></p><ul><li><a href="#authorization">Authorization</a>${sections.map(({ links }) => links).join('')}<li class="group">Every operation<li><a href="#errors">Errors</a></ul></nav>
<main id="main"><h1>${api.info.title}</h1>
<p class="quiet">Version ${api.info.version}, base path <code>${base}</code>. For programs: <a href="openapi.json">openapi.json</a></p>
${prose(api.info.description)}
<section class="tag" id="authorization"><h2><a href="#authorization">Authorization</a></h2><dl>${schemes}</dl></section>
${sections.map(({ html }) => html).join('\n')}
<section class="tag" id="errors"><h2><a href="#errors">Errors</a></h2><p>Every refusal has the same body.</p>${fields(refusal)}${codes()}</section>
</main>
<script>${script}</script>
</html>
`
}
