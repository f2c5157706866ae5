// The TypeScript client. tests/api/clients.py makes it.

import assert from 'node:assert/strict'
import { AuthApi, Configuration, ResponseError, type LongTokenRequest } from '../../target/clients/typescript-fetch'

const { BASE_URL, CLIENT_ID, CLIENT_SECRET } = process.env as Record<string, string>

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
console.log('issueLongTermToken, issueShortTermToken and revokeToken of the TypeScript client work')
