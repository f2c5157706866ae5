// The page that shows the API: static HTML that is complete without its script. The script adds search, "Try it" and the copy buttons.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { transformSync } from 'esbuild'
import { LANGUAGES, json, sample } from './samples.mjs'

// The Worker replaces this URL with its own.
const URL_SHOWN = 'https://auth.example.com'

const read = (name, loader) => {
  const text = readFileSync(new URL(name, import.meta.url), 'utf8')
  return transformSync(text, { loader, minify: true, format: loader === 'js' ? 'iife' : undefined, charset: 'utf8' }).code.trim()
}
const style = read('page.css', 'css')
const script = read('page.js', 'js')
const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
// The script can call only this deployment. It can't turn text into HTML: Trusted Types are required, and no policy may
// be created.
const policy = [
  `default-src 'none'`,
  `style-src ${hash(style)}`,
  `script-src ${hash(script)}`,
  `connect-src 'self'`,
  `base-uri 'none'`,
  `form-action 'none'`,
  `require-trusted-types-for 'script'`,
  `trusted-types 'none'`,
].join('; ')

const escaped = (text) => String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;')
const slug = (text) => text.toLowerCase().replace(/[^a-z]+/g, '-')
const code = (text) => `<code>${escaped(text)}</code>`

/** Converts the inline Markdown that the document uses. RFCs become links. */
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

/** Adds the full stop that a description may lack. */
const sentence = (text) => inline(text.trim()) + (/[.:]$/.test(text.trim()) ? '' : '.')

/** Paragraphs and lists. */
const prose = (text = '') =>
  text
    .trim()
    .split(/\n\n/)
    .filter(Boolean)
    .map((block) =>
      block.startsWith('- ')
        ? `<ul>${block.slice(2).split(/\n- /).map((item) => `<li>${inline(item)}`).join('')}</ul>`
        : `<p>${sentence(block)}`,
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
      isOpen: (operation.security ?? []).some((scheme) => !Object.keys(scheme).length),
      // Responses that many operations share are described once, under Errors.
      own: Object.entries(operation.responses).filter(([, response]) => !SHARED.has(response.$ref)),
      shared: Object.entries(operation.responses).filter(([, response]) => SHARED.has(response.$ref)),
    })),
  )

  const limits = (schema) => {
    const { minimum, maximum, minItems, maxItems, minLength, maxLength, pattern } = schema
    const said = []
    if (schema.enum) said.push(schema.enum.map(code).join(' or '))
    const range = (least, most, unit) => {
      if (least !== undefined && most !== undefined) said.push(`${least} to ${most}${unit}`)
      else if (most !== undefined) said.push(`at most ${most}${unit}`)
      else if (least > 1) said.push(`at least ${least}${unit}`)
    }
    range(minimum, maximum, '')
    range(minItems, maxItems, ' items')
    range(minLength, maxLength, ' characters')
    if (pattern) said.push(`matches ${code(pattern)}`)
    if ('default' in schema) said.push(`default ${schema.default}`)
    return said
  }
  const typeOf = (schema) => {
    if (schema.type === 'array') return `array of ${typeOf(resolve(schema.items))}s`
    return (schema.format ?? schema.type) + (schema.nullable ? ' or null' : '')
  }
  /** An object's members. Those of a response are listed without `required`, without most limits, and one level deep. */
  const fields = (schema, asked, depth = 0) => {
    const row = ([name, property]) => {
      const own = resolve(property)
      const required = asked && schema.required?.includes(name) ? '<em>required</em>' : ''
      const items = own.items ? resolve(own.items) : null
      const bounded = (it) => limits(asked ? it : { enum: it.enum, maximum: it.maximum })
      const ofItems = items ? bounded(items) : []
      const bounds = [...bounded(own), ...(ofItems.length ? [`each ${ofItems.join(', ')}`] : [])]
      const about = prose(own.description) + (bounds.length ? `<p class=limits>${bounds.join('; ')}` : '')
      const inner = items ?? own
      const below = inner.properties && (asked || depth === 0) ? fields(inner, asked, depth + 1) : ''
      return `<dt><code>${name}</code> <span>${typeOf(own)}</span>${required}<dd>${about}${below}`
    }
    return `<dl>${Object.entries(schema.properties).map(row).join('')}</dl>`
  }

  /** The request of an operation with one of its example bodies, as `samples.mjs` takes it. */
  const request = (operation, mediaType, example) => {
    const { method, parameters, schemes, isOpen, own } = operation
    const path = operation.path.replace(/\{(\w+)\}/g, (_, name) => parameters.find((it) => it.name === name).example)
    const scheme = example?.['x-security'] ?? operation['x-security'] ?? (isOpen ? undefined : schemes[0])
    const [kind] = Object.keys(resolve(own[0][1]).content ?? {})
    return {
      method,
      url: URL_SHOWN + path,
      headers: scheme === 'ClientKey' ? { 'X-Client-Id': example.value.client_id } : {},
      bearer: { LongTokenAuth: 'LONG_TOKEN', ShortTokenAuth: 'SHORT_TOKEN' }[scheme],
      mediaType,
      ...(example && { [mediaType.endsWith('json') ? 'json' : 'form']: example.value }),
      returns: kind ? (kind.endsWith('json') ? 'json' : 'text') : 'nothing',
    }
  }

  /** One card with a tab for each language. The tabs are radio buttons, so they work without the script. */
  const samples = (operation) => {
    const { operationId: id, requestBody } = operation
    const requests = Object.entries(requestBody?.content ?? {}).flatMap(([mediaType, { examples }]) =>
      Object.values(examples).map((example) => [example.summary, request(operation, mediaType, example)]),
    )
    if (!requests.length) requests.push(['', request(operation)])
    const tabs = LANGUAGES.map((name, at) => `<label><input type=radio name=in-${id} value=${at}${at ? '' : ' checked'}>${name}</label>`).join('')
    const texts = (it) => LANGUAGES.map((name) => `<pre>${escaped(sample[name](it))}</pre>`).join('')
    const body =
      requests.length === 1
        ? texts(requests[0][1])
        : requests
            .map(([title, it], at) => `<details name=of-${id}${at ? '' : ' open'}><summary>${inline(title)}</summary>${texts(it)}</details>`)
            .join('')
    return `<div class="card code"><fieldset class=bar><legend>Language of the samples</legend>${tabs}</fieldset>${body}</div>`
  }

  const example = (operation) => {
    const [status, response] = operation.own[0]
    const shown = Object.values(resolve(response).content ?? {}).flatMap((it) =>
      'example' in it ? [['', it.example]] : Object.values(it.examples ?? {}).map(({ summary, value }) => [summary, value]),
    )
    const text = ([title, value]) => `${title && `<p>${inline(title)}`}<pre>${escaped(typeof value === 'string' ? value : json(value))}</pre>`
    return shown.length ? `<div class=card><p class=bar><b class=s${status[0]}>${status}</b> ${inline(resolve(response).description)}</p>${shown.map(text).join('')}</div>` : ''
  }

  const kinds = (response) => Object.values(response.content ?? {}).flatMap(({ examples }) => Object.values(examples ?? {})).filter(({ value }) => value.code)
  const links = (entries) => entries.map(([status]) => `<a href=#${status}>${status}</a>`).join(', ').replace(/, ([^,]*)$/, ' and $1')

  const responses = (operation) => {
    const row = ([status, reference]) => {
      const response = resolve(reference)
      const codes = kinds(response).map(({ value, summary }) => `<p>${code(value.code)} ${sentence(summary)}`)
      const headers = Object.entries(response.headers ?? {})
        .filter(([name]) => name !== 'Cache-Control' && !TOLD_ONCE.has(name))
        .map(([name, header]) => `<p class=quiet>${code(name)} ${sentence(resolve(header).description)}`)
      const kept = resolve(response.headers?.['Cache-Control'])?.schema.enum
      if (kept && !kept.includes('no-store')) headers.push(`<p class=quiet>${kept.map((it) => code(`Cache-Control: ${it}`)).join(' or ')}`)
      const about = codes.join('') + headers.join('')
      return `<dt><code class=s${status[0]}>${status}</code> <span>${inline(response.description)}</span><dd>${about}`
    }
    const also = operation.shared.length ? `<p class=quiet>Also ${links(operation.shared)}, as described under Errors.` : ''
    return `<h4>Responses</h4><dl>${operation.own.map(row).join('')}</dl>${also}`
  }

  const section = (operation) => {
    const { operationId: id, method, path, parameters, requestBody, schemes, isOpen } = operation
    const sent = (place, title) => {
      const own = parameters.filter((it) => it.in === place)
      const properties = Object.fromEntries(own.map((it) => [it.name, { ...resolve(it.schema), description: it.description }]))
      const required = own.filter((it) => it.required).map((it) => it.name)
      return own.length ? `<h4>${title}</h4>${fields({ required, properties }, true)}` : ''
    }
    const [status, response] = operation.own[0]
    const bodies = Object.entries(requestBody?.content ?? {})
    const mediaTypes = bodies.map(([mediaType]) => code(mediaType)).join(' or ')
    const returned = resolve(resolve(response).content?.['application/json']?.schema)
    const credentials = schemes.map((name) => `<a href=#${name}>${name}</a>`).join(' or ')
    const about = [
      `<h3><a href=#${id}>${operation.summary}</a></h3>`,
      `<p class=path><b class=${method}>${method}</b> ${path}`,
      prose(operation.description),
      `<p class=quiet>Authorization: ${credentials || 'none'}${credentials && isOpen ? ', or none' : ''}`,
      sent('path', 'Path parameters'),
      sent('query', 'Query parameters'),
      sent('header', 'Headers'),
      bodies.length ? `<h4>Body ${mediaTypes}</h4>${prose(requestBody.description)}${fields(resolve(bodies[0][1].schema), true)}` : '',
      returned?.properties ? `<h4>Returns ${code(status)}</h4>${fields(returned, false)}` : '',
      responses(operation),
    ]
    return `<section class=operation id=${id}><div>${about.join('')}</div><div class=side>${samples(operation)}${example(operation)}</div></section>`
  }

  /** Every code with its statuses, an example of its message, and the operations that return it. */
  const codes = () => {
    const rows = new Map()
    for (const operation of operations) {
      for (const [status, reference] of Object.entries(operation.responses)) {
        const response = resolve(reference)
        for (const { value } of kinds(response)) {
          const key = `${status} ${value.code}`
          const about = SHARED.has(reference.$ref) ? response.description : undefined
          const row = rows.get(key) ?? { status, code: value.code, message: value.message, about, ids: new Set() }
          rows.set(key, row)
          row.ids.add(operation.operationId)
        }
      }
    }
    const where = (ids) => (ids.size === operations.length ? 'every operation' : [...ids].map((id) => `<a href=#${id}>${id}</a>`).join(', '))
    const seen = new Set()
    const row = ([, { status, code: name, message, about, ids }]) => {
      const id = seen.has(status) ? '' : ` id=${status}`
      seen.add(status)
      return `<dt${id}><code class=s${status[0]}>${status}</code> <code>${name}</code><dd>${about ? `<p>${sentence(about)}` : ''}<p>“${escaped(message)}”<p class=limits>${where(ids)}`
    }
    return `<dl class=codes>${[...rows].sort(([a], [b]) => a.localeCompare(b)).map(row).join('')}</dl>`
  }

  const schemes = Object.entries(api.components.securitySchemes)
    .map(([name, scheme]) => {
      const header = scheme.type === 'apiKey' ? `${scheme.name}: <client_id>` : 'Authorization: Bearer <token>'
      return `<dt id=${name}><code>${name}</code> <span>${escaped(header)}</span><dd>${prose(scheme.description)}`
    })
    .join('')

  const { code: codeField, ...others } = api.components.schemas.AuthError.properties
  const refusal = { properties: { code: { ...codeField, enum: undefined }, ...others } }
  const [refusedAs, refusing] = operations.flatMap((it) => it.own).find(([, it]) => kinds(resolve(it)).some(({ value }) => value.details))
  const refused = [...TOLD_ONCE]
    .map((name) => `<dt><code>${name}</code><dd><p>${sentence(api.components.headers[name].description)}`)
    .join('')

  const sections = api.tags.map(({ name, description }) => {
    const own = operations.filter(({ tags }) => tags.includes(name))
    return {
      links: `<li class=group><a href=#${slug(name)}>${name}</a>` + own.map((it) => `<li><a href=#${it.operationId}>${it.summary}</a>`).join(''),
      html: `<section class=tag id=${slug(name)}><h2><a href=#${slug(name)}>${name}</a></h2>${prose(description)}</section>${own.map(section).join('')}`,
    }
  })

  const [lead, ...conventions] = api.info.description.trim().split('\n\n')
  const first = operations.filter(({ tags }) => tags.includes(api.tags[0].name))
  const steps = first.map((it) => `<li><a href=#${it.operationId}>${it.summary}</a><span class=path>${it.path}</span>`).join('')

  return `<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta http-equiv=Content-Security-Policy content="${policy}">
<meta name=viewport content="width=device-width,initial-scale=1">
<meta name=referrer content=no-referrer>
<title>${api.info.title} API reference</title>
<style>${style}</style>
<body>
<a class=skip href=#main>Skip to the operations</a>
<header id=top><h1>${api.info.title} API</h1>
${prose(lead)}<ol>${steps}</ol></header>
<nav aria-label=Contents>
<p><a href=#top>${api.info.title}</a></p>
<div role=search hidden><label for=q>Search operations, fields and codes</label><input id=q type=search placeholder="Search" autocomplete=off spellcheck=false aria-keyshortcuts=/><kbd>/</kbd><div class=results hidden><p role=status></p><ul></ul></div></div>
<details open><summary>Contents</summary><ul><li><a href=#top>Overview</a><li><a href=#conventions>Conventions</a><li><a href=#authorization>Authorization</a>${sections.map(({ links }) => links).join('')}<li class=group><a href=#errors>Errors</a></ul></details>
</nav>
<main id=main>
<section class=tag id=conventions><h2><a href=#conventions>Conventions</a></h2><p>The base URL is <code>${URL_SHOWN}${base}</code>. This page describes version ${api.info.version}; <a href=openapi.json>openapi.json</a> is its machine-readable form.</p>${prose(conventions.join('\n\n'))}</section>
<section class=tag id=authorization><h2><a href=#authorization>Authorization</a></h2><dl>${schemes}</dl></section>
${sections.map(({ html }) => html).join('\n')}
<section class=tag id=errors><h2><a href=#errors>Errors</a></h2><div class=pair><div><p>Every error response has the same body.</p>${fields(refusal)}</div><div class=side><div class=card><p class=bar><b class=s4>${refusedAs}</b> ${inline(resolve(refusing).description)}</p><pre>${escaped(json(kinds(resolve(refusing)).findLast(({ value }) => value.details).value))}</pre></div></div></div><h3>Error headers</h3><dl>${refused}</dl><h3>Error codes</h3><p>Each with an example of its message, and the operations that return it.</p>${codes()}</section>
</main>
<script>${script}</script>
</html>
`
}

/** Responses that are the same wherever they occur, and headers that mean the same for every error. Both are described once. */
const SHARED = new Set(['Misconfigured', 'Unavailable', 'MethodNotAllowed'].map((name) => `#/components/responses/${name}`))
const TOLD_ONCE = new Set(['WWW-Authenticate', 'Retry-After', 'Allow'])
