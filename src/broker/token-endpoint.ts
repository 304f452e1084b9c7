import type { FastifyInstance, FastifyRequest } from 'fastify';
import { rememberProof } from '../database/proofs.ts';
import { type VerifiedProof, verifyProof } from '../identity/dpop.ts';
import { Refusal } from '../refusal.ts';
import type { Workload } from '../settings.ts';
import { parseForm } from './form.ts';
import { answerOAuthError } from './oauth-error.ts';
import { openSession, recordRefusal, type SessionOpener } from './sessions.ts';
import { verifyWorkload, type WorkloadIssuers } from './workload-token.ts';

/**
 * `POST /oauth/token`: RFC 8693 token exchange, a workload's token for an access token of a new session. The token is
 * bound to the caller's DPoP key, lives no longer than the session, and there is no refresh token.
 */
export type TokenEndpoint = SessionOpener & { issuers: WorkloadIssuers; workloads: readonly Workload[] };

export const TOKEN_PATH = '/oauth/token';
const BODY_MAX_BYTES = 32 * 1_024;

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';
const ACCESS_TYPE = 'urn:ietf:params:oauth:token-type:access_token';

export function registerTokenEndpoint(server: FastifyInstance, own: TokenEndpoint): void {
  void server.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, body, done) =>
      done(null, body),
    );
    scope.setErrorHandler(answerOAuthError);
    // RFC 6749 5.1; on errors too.
    scope.addHook('onSend', async (_, reply) => void reply.header('cache-control', 'no-store'));
    scope.post(TOKEN_PATH, { bodyLimit: BODY_MAX_BYTES }, async (request) => await exchange(request, own));
  });
}

async function exchange(request: FastifyRequest, own: TokenEndpoint): Promise<object> {
  const nowS = Math.floor(own.clock() / 1_000);
  const form = readForm(request, own.origin);
  const proof = await verifyProof(onlyProofOf(request), {
    method: 'POST',
    url: `${new URL(own.origin).origin}${TOKEN_PATH}`,
    nowS,
  });
  const workload = await verifyWorkload(form.subjectToken, { ...own, nowS });
  return await openFor(own, workload, { proof, scope: form.scope });
}

/** From here on the caller is known, and what it is refused is recorded. */
async function openFor(
  own: TokenEndpoint,
  workload: Workload,
  { proof, scope }: { proof: VerifiedProof; scope: string | undefined },
): Promise<object> {
  try {
    await rememberProof(own.database, proof);
    const purpose = purposeOf(workload, scope);
    const opened = await openSession(own, workload, { jkt: proof.jkt, purpose });
    return {
      access_token: opened.accessToken,
      issued_token_type: ACCESS_TYPE,
      token_type: 'DPoP',
      expires_in: opened.expiresInS,
      scope: purpose,
      session_id: opened.sessionId,
    };
  } catch (error) {
    await recordRefusal(own, workload, error);
    throw error;
  }
}

function readForm(request: FastifyRequest, origin: string) {
  const form = parseForm(typeof request.body === 'string' ? request.body : '');
  const expect = (name: string, wanted: readonly (string | undefined)[], error: string) => {
    if (!wanted.includes(form.get(name))) {
      throw new Refusal('INVALID_INPUT', `expected ${name} ${wanted[0] ?? 'absent'}`, { details: { error } });
    }
  };
  expect('grant_type', [GRANT], 'unsupported_grant_type');
  expect('subject_token_type', [JWT_TYPE], 'invalid_request');
  expect('requested_token_type', [ACCESS_TYPE, undefined], 'invalid_request');
  expect('audience', [origin, undefined], 'invalid_target');
  expect('resource', [origin, undefined], 'invalid_target');
  // Delegation that is left out silently would be impersonation.
  expect('actor_token', [undefined], 'invalid_request');
  const subjectToken = form.get('subject_token');
  if (subjectToken === undefined) throw new Refusal('INVALID_INPUT', 'expected subject_token');
  return { subjectToken, scope: form.get('scope') };
}

function onlyProofOf({ raw }: FastifyRequest): string[] | string | undefined {
  const values = raw.rawHeaders.filter(
    (_, at) => at % 2 === 1 && raw.rawHeaders[at - 1]?.toLowerCase() === 'dpop',
  );
  return values.length > 1 ? values : values[0];
}

/** One purpose a session. Left out, it is clear only where the workload has a single one. */
function purposeOf({ purposes }: Workload, scope: string | undefined): string {
  const [only, ...more] = purposes;
  const purpose = scope ?? (more.length === 0 ? only : undefined);
  if (purpose === undefined || !purposes.includes(purpose)) {
    throw new Refusal('NOT_PERMITTED', 'expected scope to be one purpose of this workload', {
      details: { error: 'invalid_scope' },
    });
  }
  return purpose;
}
