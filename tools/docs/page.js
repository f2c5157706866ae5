// The page's script: copy buttons, search and "Try it". A token is only in this script's memory and in password fields,
// both of which end with the page. It is never stored, and never put into a URL or an attribute. All calls go to this
// origin.

const all = (selector, within = document) => [...within.querySelectorAll(selector)]
const find = (selector, within = document) => within.querySelector(selector)
const make = (tag, properties, ...children) => {
  const node = Object.assign(document.createElement(tag), properties)
  node.append(...children)
  return node
}
const button = (text, onclick, className = '') => make('button', { type: 'button', textContent: text, onclick, className })
document.documentElement.classList.add('js')

/** JSON as in the samples: short arrays on one line. */
const pretty = (value) => JSON.stringify(value, null, 2).replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, items) => `[${items.replace(/\s*\n\s*/g, ' ')}]`)

// ---- Copy buttons, and one choice of language for all samples

const copies = (bar, text) => {
  const copy = button('Copy', async () => {
    copy.textContent = await navigator.clipboard.writeText(text()).then(() => 'Copied', () => 'Not allowed')
    setTimeout(() => (copy.textContent = 'Copy'), 2000)
  })
  bar.append(copy)
}
for (const card of all('.side .card')) {
  const texts = all('pre', card)
  copies(find('.bar', card), () => (texts.find((it) => it.checkVisibility()) ?? texts[find(':checked', card).value]).textContent)
}
addEventListener('change', ({ target }) => {
  if (target.type !== 'radio') return
  for (const radio of all(`.bar [value="${target.value}"]`)) radio.checked = true
})

// Colours names and strings with the CSS highlight API, which leaves the text unchanged.
const colours = window.Highlight && { name: new Highlight(), string: new Highlight(), comment: new Highlight() }
const colour = (pre) => {
  const text = pre.firstChild
  for (const match of text?.data.matchAll(/("[^"\n]*")(?=: )|"[^"\n]*"|`[^`\n]*`|^(?:\/\/|#) .*/gm) ?? []) {
    const range = new StaticRange({ startContainer: text, startOffset: match.index, endContainer: text, endOffset: match.index + match[0].length })
    colours[match[1] ? 'name' : /^["`]/.test(match[0]) ? 'string' : 'comment'].add(range)
  }
}
if (colours) {
  for (const [name, highlight] of Object.entries(colours)) CSS.highlights.set(name, highlight)
  all('pre').forEach(colour)
}

// ---- The section that is being read

const nav = find('nav')
const contents = find('details', nav)
const isWide = matchMedia('(min-width: 900px)')
const unfold = () => (contents.open = isWide.matches)
isWide.onchange = unfold
unfold()

const links = new Map(all('a', contents).map((link) => [link.hash.slice(1), link]))
const visible = new Set()
const reading = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) visible[isIntersecting ? 'add' : 'delete'](target.id)
    const current = [...links.keys()].findLast((id) => visible.has(id))
    if (!current) return
    for (const [id, link] of links) {
      if (id === current) link.setAttribute('aria-current', 'location')
      else link.removeAttribute('aria-current')
    }
    const link = links.get(current)
    const top = link.offsetTop
    if (isWide.matches && (top < nav.scrollTop + 80 || top > nav.scrollTop + nav.clientHeight - 80)) nav.scrollTop = top - nav.clientHeight / 2
  },
  { rootMargin: '-90px 0px -75%' },
)
for (const id of links.keys()) reading.observe(document.getElementById(id))
contents.onclick = ({ target }) => {
  if (target.hash) unfold()
}
// On a phone, scrolls the bar to the top, so that what opens below it has room.
const lift = () => isWide.matches || scrollTo(0, nav.offsetTop)
contents.ontoggle = () => contents.open && lift()

// A column of samples that is taller than the window sticks at its end, so that all of it can be scrolled to.
const stop = new ResizeObserver((entries) => {
  for (const { target } of entries) target.style.top = `${Math.min(24, innerHeight - target.offsetHeight - 24)}px`
})
all('.side').forEach((side) => stop.observe(side))

// ---- Search

const box = find('[role=search]')
const query = find('input', box)
const results = find('.results', box)
const status = find('[role=status]', box)
const list = find('ul', box)
box.hidden = false

const KINDS = { body: 'body field', returns: 'response field', 'path parameters': 'path parameter', 'query parameters': 'query parameter', headers: 'header' }
const indexed = () => {
  const entries = []
  const add = (kind, title, where, target, more = '') =>
    entries.push({ kind, title, where, target, text: `${title} ${where} ${more}`.toLowerCase() })
  for (const section of all('.operation, .tag')) {
    const title = find('h2, h3', section).textContent
    const path = find('.path', section)?.textContent ?? ''
    add(path ? 'operation' : 'section', title, path, section, `${section.id} ${all('p, li', path ? section.firstChild : section).map((it) => it.textContent).join(' ')}`)
    let part = ''
    for (const term of all('h4, dt', section)) {
      if (term.tagName === 'H4') {
        part = term.firstChild.data.trim().toLowerCase()
        continue
      }
      const [name, second] = all('code', term).map((it) => it.textContent)
      term.id ||= `${section.id}.${name}${document.getElementById(`${section.id}.${name}`) ? `-${entries.length}` : ''}`
      if (second) add('code', second, `${name}, ${title}`, term)
      else add(name > 99 ? 'status' : (KINDS[part] ?? 'field'), name, title, term)
      const about = term.nextElementSibling
      if (name > 99 && about?.tagName === 'DD') {
        for (const code of all(':scope > p:not(.quiet) > code:first-child', about)) add('code', code.textContent, `${name}, ${title}`, term)
      }
    }
  }
  return entries
}
const index = indexed()
// The fields have got their ids just now, so a link to one of them is followed again.
if (location.hash && !find(':target')) location.replace(location.hash)
const search = () => {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean)
  results.hidden = !words.length
  contents.classList.toggle('behind', words.length > 0)
  if (words.length) unfold()
  const rank = ({ title, text }) => {
    const at = title.toLowerCase().indexOf(words[0])
    return at === 0 ? 0 : at > 0 ? 1 : text.includes(words[0]) ? 2 : 3
  }
  const found = words.length ? index.filter(({ text }) => words.every((word) => text.includes(word))).sort((a, b) => rank(a) - rank(b)) : []
  status.textContent = found.length
    ? `${found.length} ${found.length === 1 ? 'result' : 'results'}`
    : 'No results. Try a path, a field such as client_id, or a code such as invalid_scope.'
  list.replaceChildren(
    ...found.map(({ kind, title, where, target }) =>
      make('li', {}, make('a', { href: `#${target.id}`, onclick: () => leave() }, make('b', { textContent: title }), make('span', { textContent: `${kind} · ${where}`.replace(/ · $/, '') }))),
    ),
  )
}
const leave = () => {
  query.value = ''
  search()
}
query.oninput = search
box.onkeydown = (event) => {
  const items = all('a', list)
  const at = items.indexOf(document.activeElement)
  if (event.key === 'Escape') {
    leave()
    query.blur()
  } else if (event.key === 'Enter' && at < 0) items[0]?.click()
  else if (event.key === 'ArrowDown') (items[at + 1] ?? items[at])?.focus()
  else if (event.key === 'ArrowUp') (at > 0 ? items[at - 1] : query).focus()
  else return
  event.preventDefault()
}
addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return
  event.preventDefault()
  query.select()
})
addEventListener('click', ({ target }) => {
  if (isWide.matches || nav.contains(target)) return
  unfold()
  results.hidden = true
})
query.onfocus = () => {
  lift()
  if (query.value) search()
}

// ---- Trying a call

/** Nothing but this origin is called, and nothing is sent or kept that the form doesn't show. */
const call = (url, options) =>
  fetch(url, { ...options, mode: 'same-origin', credentials: 'omit', cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer', signal: AbortSignal.timeout(60000) })

let described
const describe = () =>
  (described ??= call(new URL('openapi.json', document.baseURI))
    .then((response) => response.json())
    .catch((error) => {
      described = undefined
      throw error
    }))

/** The operation with this id, its references resolved. */
const operation = async (id) => {
  const api = await describe()
  const resolve = (node) => (node?.$ref ? node.$ref.slice(2).split('/').reduce((at, key) => at[key], api) : node)
  for (const [path, { servers = api.servers, ...methods }] of Object.entries(api.paths)) {
    for (const [method, found] of Object.entries(methods)) {
      if (found.operationId !== id) continue
      const schemes = (found.security ?? []).flatMap(Object.keys)
      return {
        method: method.toUpperCase(),
        path: servers[0].url.replace(/\/$/, '') + path,
        parameters: (found.parameters ?? []).map(resolve),
        schemes,
        isOpen: !found.security?.length || found.security.some((it) => !Object.keys(it).length),
        bodies: Object.entries(found.requestBody?.content ?? {}).flatMap(([mediaType, { examples }]) => Object.values(examples).map((it) => ({ mediaType, ...it }))),
        isBodyRequired: found.requestBody?.required,
        links: Object.values(found.responses).flatMap((it) => Object.values(resolve(it).links ?? {})),
      }
    }
  }
}

let bearer = ''
let count = 0
const tries = new Map()
const setBearer = (token) => {
  bearer = token
  for (const input of all('.bearer')) if (input.value !== token) input.value = token
}

const field = (name, hint, input) => {
  input.id = `try-${++count}`
  const about = make('small', { id: `${input.id}-about`, textContent: hint })
  input.setAttribute('aria-describedby', about.id)
  const whole = input.type === 'password' ? shownOnDemand(input, name) : input
  return make('div', { className: 'field' }, make('label', { htmlFor: input.id, textContent: name }), about, whole)
}
const shownOnDemand = (input, name) => {
  const show = button('', () => {
    input.type = input.type === 'text' ? 'password' : 'text'
    label()
  })
  const label = () => {
    show.textContent = input.type === 'text' ? 'Hide' : 'Show'
    show.setAttribute('aria-label', `${show.textContent} ${name}`)
  }
  label()
  return make('div', { className: 'row' }, input, show)
}
const textInput = (properties) => make('input', { type: 'text', autocomplete: 'off', spellcheck: false, ...properties })

const form = (of) => {
  const fields = []
  const inputs = new Map()
  for (const parameter of of.parameters) {
    const input = textInput({ required: parameter.required ?? false, placeholder: parameter.example ?? '' })
    inputs.set(parameter, input)
    fields.push(field(parameter.name, `${parameter.in}, ${parameter.required ? 'required' : 'optional'}`, input))
  }

  const clientId = of.schemes.includes('ClientKey') && textInput()
  const isBearer = of.schemes.some((name) => name.endsWith('TokenAuth'))
  const token = isBearer && textInput({ type: 'password', className: 'bearer', value: bearer, oninput: () => setBearer(token.value) })
  let clientField, bearerField
  if (clientId) fields.push((clientField = field('X-Client-Id', 'header, the same as client_id in the body', clientId)))
  if (token) {
    const kinds = of.schemes.filter((name) => name.endsWith('TokenAuth')).map((name) => (name === 'LongTokenAuth' ? 'long-term' : 'short-term'))
    bearerField = field('Bearer token', `${[...new Set(kinds)].join(' or ')} token${of.isOpen ? ', optional' : ''}; kept in memory until you leave this page`, token)
    fields.push(bearerField)
  }

  let chosen = of.bodies[0]
  const isForm = chosen && !chosen.mediaType.endsWith('json')
  const body = chosen && (isForm ? textInput({ required: true, type: 'password' }) : make('textarea', { autocomplete: 'off', spellcheck: false, autocapitalize: 'off', required: of.isBodyRequired ?? false }))
  const follow = () => {
    try {
      clientId.value = JSON.parse(body.value).client_id ?? ''
    } catch {
      // While the body is being typed, it may not be JSON.
    }
  }
  const choose = (at) => {
    chosen = of.bodies[at]
    if (isForm) return
    body.value = pretty(chosen.value)
    body.rows = body.value.split('\n').length + 1
    if (!clientId) return
    clientField.hidden = chosen['x-security'] !== 'ClientKey'
    bearerField.hidden = !clientField.hidden
    follow()
  }
  if (of.bodies.length > 1) {
    const select = make('select', { onchange: () => choose(select.value) }, ...of.bodies.map(({ summary }, at) => new Option(summary, at)))
    fields.unshift(field('Example', 'fills in the body', select))
  }
  if (body) {
    fields.push(field(isForm ? 'token' : 'Body', isForm ? 'form field, required: the short-term token to introspect' : `${of.isBodyRequired ? '' : 'optional, '}JSON; Ctrl+Enter sends`, body))
    choose(0)
    if (clientId) body.oninput = follow
    body.onkeydown = (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) node.requestSubmit()
    }
  }

  const request = () => {
    const filled = (place) => of.parameters.filter((it) => it.in === place && inputs.get(it).value).map((it) => [it.name, inputs.get(it).value])
    let path = of.path
    for (const [name, value] of filled('path')) path = path.replace(`{${name}}`, encodeURIComponent(value))
    const url = new URL(path, location.origin)
    for (const [name, value] of filled('query')) url.searchParams.set(name, value)
    const headers = Object.fromEntries(filled('header'))
    if (clientId?.value && !clientField.hidden) headers['X-Client-Id'] = clientId.value
    if (token?.value && !bearerField.hidden) headers.Authorization = `Bearer ${token.value}`
    const sent = body?.value && (isForm ? new URLSearchParams({ token: body.value }) : body.value)
    if (sent && !isForm) headers['Content-Type'] = chosen.mediaType
    return [url, { method: of.method, headers, body: sent || undefined }]
  }

  let isSending = false
  const said = make('p', { className: 'said' })
  said.setAttribute('role', 'status')
  const shown = make('div', {})
  const send = make('button', { type: 'submit', className: 'main', textContent: `Send ${of.method}` })
  const node = make('form', {
    autocomplete: 'off',
    onsubmit: async (event) => {
      event.preventDefault()
      if (isSending) return
      isSending = true
      send.setAttribute('aria-disabled', 'true')
      said.textContent = 'Sending…'
      shown.replaceChildren()
      try {
        const start = performance.now()
        const response = await call(...request())
        const text = await response.text()
        const took = Math.round(performance.now() - start)
        said.replaceChildren(
          make('b', { className: `s${response.status / 100 | 0}`, textContent: `${response.status} ${response.statusText}`.trim() }),
          ` in ${took} ms, ${new Blob([text]).size} bytes`,
        )
        shown.replaceChildren(...answer(of, response, text, inputs))
      } catch (error) {
        said.textContent = `No response: ${error.message}. Check the fields and that the service is running, then send again.`
      }
      isSending = false
      send.removeAttribute('aria-disabled')
    },
  }, ...fields, make('p', { className: 'row' }, send, make('small', { textContent: `Sends a real request to ${location.host}` })), said, shown)
  return { node, inputs }
}

/** The response, and what can be done with it: its token as the bearer, its ids as parameters of the operations that it links to. */
const answer = (of, response, text, inputs) => {
  let json
  try {
    json = JSON.parse(text)
  } catch {
    // Shown as it is.
  }
  const steps = make('p', { className: 'row' })
  if (json?.access_token) {
    const use = button('Use as bearer token', () => {
      setBearer(json.access_token)
      use.textContent = 'Set as the bearer token of every call here'
    }, 'main')
    steps.append(use)
  }
  for (const { operationId, parameters } of response.ok ? of.links : []) {
    const values = Object.entries(parameters).map(([name, from]) => {
      const [, inBody, inPath] = /body#\/(.*)|path\.(.*)/.exec(from)
      return [name, inBody ? json?.[inBody] : [...inputs].find(([it]) => it.name === inPath)?.[1].value]
    })
    if (values.every(([, value]) => value)) {
      const title = find('h3', document.getElementById(operationId)).textContent
      steps.append(button(`${title}: ${values.map(([, value]) => value).pop().replace(/(.{12}).+/, '$1…')}`, () => open(operationId, Object.fromEntries(values))))
    }
  }
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}\n`).join('')
  const part = (title, content) => {
    const pre = make('pre', { textContent: content })
    if (colours) colour(pre)
    const bar = make('p', { className: 'bar' }, make('b', { textContent: title }))
    copies(bar, () => content)
    return make('div', { className: 'card' }, bar, pre)
  }
  return [
    ...(steps.firstChild ? [steps] : []),
    ...(text ? [part('Body', json === undefined ? text : pretty(json))] : [make('p', { className: 'quiet', textContent: 'The response has no body.' })]),
    part('Headers', headers),
  ]
}

/** Opens the form of an operation, with parameters filled in, and goes there. */
const open = async (id, values = {}) => {
  const { opener, panel } = tries.get(id)
  opener.setAttribute('aria-expanded', 'true')
  panel.hidden = false
  try {
    const tried = (tries.get(id).tried ??= form(await operation(id)))
    panel.replaceChildren(tried.node)
    for (const [parameter, input] of tried.inputs) if (parameter.name in values) input.value = values[parameter.name]
    const first = all('input, select, textarea, button', tried.node).find((it) => it.checkVisibility())
    first.focus()
  } catch (error) {
    panel.textContent = `openapi.json could not be read: ${error.message}. Close this and try again.`
  }
}
const close = (id) => {
  const { opener, panel } = tries.get(id)
  opener.setAttribute('aria-expanded', 'false')
  panel.hidden = true
}
for (const section of all('.operation')) {
  const panel = make('div', { className: 'try', id: `try-${section.id}`, hidden: true })
  const opener = button('Try it', () => (panel.hidden ? open(section.id) : close(section.id)), 'main opener')
  opener.setAttribute('aria-expanded', 'false')
  opener.setAttribute('aria-controls', panel.id)
  opener.setAttribute('aria-label', `Try it: ${find('h3', section).textContent}`)
  find('.code', section).append(make('p', { className: 'foot' }, opener), panel)
  tries.set(section.id, { opener, panel })
}
// The browser may keep the page for the back button, but must not keep a token, secret or response in it.
addEventListener('pagehide', () => {
  bearer = ''
  for (const [id, its] of tries) {
    close(id)
    its.panel.replaceChildren()
    its.tried = undefined
  }
})
