import type { FastifyInstance } from 'fastify';
import type { Kind } from '../identity/claims.ts';
import type { PublicKey } from '../identity/keys.ts';
import { TOKEN_PATH } from './token-endpoint.ts';

/** What outsiders verify with; domains never do, they read the signed key manifest. */
const PUBLISHED: readonly string[] = ['access', 'capability'] satisfies Kind[];
const CACHE = 'public, max-age=300';

export function registerMetadata(
  server: FastifyInstance,
  own: { origin: string; keys: readonly PublicKey[] },
): void {
  const keys = own.keys
    .filter(({ issuer, kind }) => issuer === 'broker' && PUBLISHED.includes(kind))
    .map(({ kid, jwk }) => ({ ...jwk, kid, alg: 'ES256', use: 'sig' }));
  server.get('/.well-known/jwks.json', async (_request, reply) => {
    await reply.header('cache-control', CACHE).send({ keys });
  });
  server.get('/.well-known/oauth-authorization-server', async (_request, reply) => {
    await reply.header('cache-control', CACHE).send(metadataOf(new URL(own.origin).origin));
  });
}

/** RFC 8414 2. */
function metadataOf(origin: string): object {
  return {
    issuer: origin,
    token_endpoint: `${origin}${TOKEN_PATH}`,
    jwks_uri: `${origin}/.well-known/jwks.json`,
    response_types_supported: [],
    grant_types_supported: ['urn:ietf:params:oauth:grant-type:token-exchange'],
    token_endpoint_auth_methods_supported: ['none'],
    dpop_signing_alg_values_supported: ['ES256'],
  };
}
