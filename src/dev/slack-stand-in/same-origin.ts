import type { FastifyRequest } from 'fastify';
import { Refusal } from '../../refusal.ts';

/**
 * Whoever reaches this page may click as anybody, so nobody else's page may reach it: not by a form or a fetch from
 * another site (Origin, Sec-Fetch-Site, JSON alone), not by a name that was rebound to loopback (Host), not by a frame
 * (the page's own headers), and nobody from another machine.
 */
const LOOPBACK_NAME = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/;
const LOOPBACK_ADDRESS = /^(::ffff:)?127\.|^::1$/;

export function refuseOutsiders(request: FastifyRequest): void {
  const { host = '', origin } = request.headers;
  const site = request.headers['sec-fetch-site'];
  if (!LOOPBACK_ADDRESS.test(request.socket.remoteAddress ?? ''))
    throw no('expected a caller on this machine');
  if (!LOOPBACK_NAME.test(host)) throw no('expected a loopback name as host');
  // A browser names the origin of every page that posts; a script of the developer names none.
  if (origin !== undefined && origin !== `http://${host}`) throw no('expected the stand-in’s own page');
  if (site === undefined || site === 'same-origin') return;
  // Links from elsewhere may show the page, and nothing more.
  if (request.method !== 'GET' || request.headers['sec-fetch-mode'] !== 'navigate') {
    throw no('expected the stand-in’s own page');
  }
}

function no(message: string): Refusal {
  return new Refusal('NOT_PERMITTED', message);
}
