// The generated TypeScript client. tests/api/clients.py generates it.

import assert from 'node:assert/strict'
import { AuthApi, Configuration, OperatorsApi, ResponseError, type LongTokenRequest } from '../../target/clients/typescript-fetch'

const { BASE_URL, CLIENT_ID, CLIENT_SECRET, OPERATOR_TOKEN } = process.env as Record<string, string>

const withToken = (accessToken: string) =>
  new AuthApi(new Configuration({ basePath: BASE_URL, accessToken, apiKey: CLIENT_ID, username: CLIENT_ID, password: '' }))

/** The status and the code of a call that must be refused. */
const refusal = async (call: Promise<unknown>) => {
  const error = await call.then(() => assert.fail('no refusal'), (error) => error)
  assert(error instanceof ResponseError, error)
  return [error.response.status, (await error.response.json()).code]
}

const rotation: LongTokenRequest = { grantType: 'client_credentials', clientId: CLIENT_ID }
const longTokenRequest: LongTokenRequest = {
  ...rotation,
  clientSecret: CLIENT_SECRET,
  scopes: ['jobs:submit', 'templates:read', 'tokens:write'],
  ttlSeconds: 7776000,
}
const leftover = withToken('left over from before')
const response = await leftover.issueLongTermTokenRaw({ longTokenRequest })
const long = await response.value()
assert.equal(response.raw.status, 201)
assert.equal(response.raw.headers.get('X-Token-Id'), long.tokenId)
assert.deepEqual([long.scopes, long.expiresIn], [longTokenRequest.scopes, 7776000])

const byLong = withToken(long.accessToken)
const scopes = ['jobs:submit', 'tokens:write']
const short = await byLong.issueShortTermToken({ shortTokenRequest: { scopes } })
assert.deepEqual(short.scopes, scopes)
for (const request of [undefined, {}, { shortTokenRequest: null }, { shortTokenRequest: {} }]) {
  assert.deepEqual((await byLong.issueShortTermToken(request)).scopes, long.scopes)
}

const byShort = withToken(short.accessToken)
assert.deepEqual((await byShort.issueLongTermToken({ longTokenRequest: rotation })).scopes, scopes)

for (let time = 0; time < 2; time++) assert.equal(await byShort.revokeToken({ tokenId: short.tokenId }), undefined)
assert.deepEqual(await refusal(byLong.revokeToken({ tokenId: 'token_id_example' })), [404, 'not_found'])
assert.deepEqual(await refusal(byShort.issueShortTermToken()), [401, 'invalid_token'])
const refused = { ...longTokenRequest, clientSecret: 'supersecret123' }
assert.deepEqual(await refusal(leftover.issueLongTermToken({ longTokenRequest: refused })), [401, 'invalid_client'])

// Operators' calls, from a client's creation to its deletion.
const operators = new OperatorsApi(new Configuration({ basePath: BASE_URL, accessToken: OPERATOR_TOKEN }))
const newClient = { clientName: 'generated', scopes: ['jobs:submit'], mechanisms: ['secret' as const, 'otp' as const] }
const created = await operators.createClient({ newClient })
const { clientId } = created
assert(created.clientSecret && created.totpSecret && created.otpauthUri)
const shown = await operators.getClientRaw({ clientId })
assert.deepEqual((await shown.value()).secrets, created.secrets)
const ifMatch = shown.raw.headers.get('ETag') as string
const clientPatch = { clientName: null, maxTtlSeconds: 3600 }
const changed = await operators.updateClient({ clientId, ifMatch, clientPatch })
assert.deepEqual([changed.clientName, changed.maxTtlSeconds], [undefined, 3600])
assert.deepEqual(await refusal(operators.updateClient({ clientId, ifMatch, clientPatch })), [412, 'precondition_failed'])
const { secretId } = await operators.createClientSecret({ clientId })
await operators.endClientSecret({ clientId, secretId: created.secrets[0].secretId })
await operators.endClientSecret({ clientId, secretId, _in: 60 })
const [left] = (await operators.getClient({ clientId })).secrets
assert(left.secretId === secretId && left.expiresAt)
assert.notEqual((await operators.createClientTotp({ clientId })).totpSecret, created.totpSecret)
await operators.endClientTokens({ clientId })
assert((await operators.listClients({ limit: 1000 })).clients.some((client) => client.clientId === clientId))
for (let time = 0; time < 2; time++) await operators.deleteClient({ clientId })
assert.deepEqual(await refusal(operators.getClient({ clientId })), [404, 'not_found'])
console.log("The token operations and the operators' calls of the TypeScript client work")
