// The code samples of the page: one request, written in four languages. Each runs as pasted, once its example values
// and the token in the environment are replaced with a real client's.

export const LANGUAGES = ['curl', 'Python', 'JavaScript', 'Rust']

const indented = (text, by) => text.replace(/\n/g, `\n${' '.repeat(by)}`)

/** JSON with short arrays on one line, as people write it. */
export const json = (value, indent = 2) =>
  JSON.stringify(value, null, indent).replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, list) => `[${list.replace(/\s*\n\s*/g, ' ')}]`)

const PYTHON = { true: 'True', false: 'False', null: 'None' }
const python = (value) => json(value, 4).replace(/: (true|false|null)(?=,?$)/gm, (_, word) => `: ${PYTHON[word]}`)
const quoted = JSON.stringify
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`

/** A JavaScript literal, without quotation marks around names that need none. */
const javascript = (value) => json(value).replace(/^(\s*)"(\w+)": /gm, '$1$2: ').replace(/([{,] ?)"(\w+)":/g, '$1$2:')

/** curl and fetch must be told the type of a JSON body. The JSON helpers of requests and reqwest set `application/json` themselves. */
const contentType = ({ mediaType }) => (mediaType?.endsWith('json') ? { 'Content-Type': mediaType } : {})
const contentTypeUnlessJson = (request) => (request.mediaType === 'application/json' ? {} : contentType(request))

/**
 * Request: `method`, `url`, `headers` (name to value), `bearer` (the environment variable that holds the token, if any),
 * `mediaType` with `json` or `form` (the body, if any), `returns` (`json`, `text` or `nothing`).
 */
export const sample = {
  curl(request) {
    const { method, url, headers, bearer, json: body, form, returns } = request
    const implied = body || form ? 'POST' : 'GET'
    // If the response has no body, the sample prints the status line.
    const lines = [`curl ${returns === 'nothing' ? '-i ' : ''}${method === implied ? '' : `-X ${method} `}${url}`]
    if (bearer) lines.push(`-H "Authorization: Bearer $${bearer}"`)
    for (const [name, value] of Object.entries({ ...headers, ...contentType(request) })) lines.push(`-H ${shell(`${name}: ${value}`)}`)
    if (body) lines.push(`-d ${indented(shell(json(body)), 2)}`)
    for (const [name, value] of Object.entries(form ?? {})) lines.push(`--data-urlencode ${shell(`${name}=${value}`)}`)
    return lines.join(' \\\n  ')
  },

  Python(request) {
    const { method, url, headers, bearer, json: body, form, returns } = request
    const sent = Object.entries({ ...headers, ...contentTypeUnlessJson(request) }).map(([name, value]) => `${quoted(name)}: ${quoted(value)}`)
    if (bearer) sent.unshift(`"Authorization": f"Bearer {os.environ['${bearer}']}"`)
    const lines = [`    ${quoted(url)},\n`]
    if (sent.length) lines.push(sent.length > 1 ? `    headers={\n${sent.map((it) => `        ${it},\n`).join('')}    },\n` : `    headers={${sent}},\n`)
    if (body) lines.push(`    json=${indented(python(body), 4)},\n`)
    if (form) lines.push(`    data=${indented(python(form), 4)},\n`)
    const shown = { json: 'response.json()', text: 'response.text', nothing: 'response.text' }[returns]
    return `# pip install requests\n${bearer ? 'import os\n\n' : ''}import requests\n\nresponse = requests.${method.toLowerCase()}(\n${lines.join('')})\nprint(response.status_code, ${shown})`
  },

  JavaScript(request) {
    const { method, url, headers, bearer, json: body, form, returns } = request
    const sent = Object.entries({ ...headers, ...contentType(request) }).map(([name, value]) => `    ${quoted(name)}: ${quoted(value)},\n`)
    if (bearer) sent.unshift(`    Authorization: \`Bearer \${process.env.${bearer}}\`,\n`)
    const options = []
    if (method !== 'GET') options.push(`  method: "${method}",\n`)
    if (sent.length) options.push(`  headers: {\n${sent.join('')}  },\n`)
    if (body) options.push(`  body: JSON.stringify(${indented(javascript(body), 2)}),\n`)
    if (form) options.push(`  body: new URLSearchParams(${indented(javascript(form), 2)}),\n`)
    const given = options.length ? `, {\n${options.join('')}}` : ''
    return `// Node.js, as an ES module\nconst response = await fetch(${quoted(url)}${given});\nconsole.log(response.status, await response.${returns === 'json' ? 'json' : 'text'}());`
  },

  Rust(request) {
    const { method, url, headers, bearer, json: body, form } = request
    const features = ['blocking', body && 'json', form && 'form'].filter(Boolean).join(',')
    const calls = Object.entries({ ...headers, ...contentTypeUnlessJson(request) }).map(([name, value]) => `.header(${quoted(name)}, ${quoted(value)})`)
    if (bearer) calls.unshift(`.bearer_auth(std::env::var("${bearer}")?)`)
    if (body) calls.push(`.json(&serde_json::json!(${indented(json(body, 4), 8)}))`)
    if (form) calls.push(`.form(&[${Object.entries(form).map(([name, value]) => `(${quoted(name)}, ${quoted(value)})`).join(', ')}])`)
    const start = `reqwest::blocking::Client::new()\n        .${method.toLowerCase()}(${quoted(url)})`
    return `// cargo add reqwest --features ${features}${body ? '\n// cargo add serde_json' : ''}
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let response = ${[start, ...calls, '.send()?;'].join('\n        ')}
    println!("{} {}", response.status(), response.text()?);
    Ok(())
}`
  },
}
