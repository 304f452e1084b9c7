import { describe, expect, test } from 'vitest';
import { domains } from '../domains.ts';
import { databaseVariable, readEnvironment } from './environment.ts';

const own = {
  FIREBREAK_CONFIG: 'firebreak.toml',
  FIREBREAK_KEYS: 'keys',
  FIREBREAK_KEY_MANIFEST: 'keys.json',
  FIREBREAK_ACTION_MANIFEST: 'actions.json',
  FIREBREAK_ROOTS: 'x'.repeat(43),
  FIREBREAK_DATABASE_URL_GATE: 'postgresql://gate@db/firebreak',
};

describe('the environment of a domain', () => {
  test('is read, and no secret of it is printed', () => {
    const environment = readEnvironment('gate', own);
    expect(environment.databaseUrl.reveal()).toBe(own.FIREBREAK_DATABASE_URL_GATE);
    expect(JSON.stringify(environment)).not.toContain('postgresql://');
  });

  test.each(Object.keys(own))('without %s is refused by its name', (name) => {
    expect(() => readEnvironment('gate', { ...own, [name]: undefined })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(name) }),
    );
  });

  test.each(domains.filter((domain) => domain !== 'gate'))('with the login of %s is refused', (other) => {
    const foreign = { ...own, [databaseVariable(other)]: 'postgresql://other@db/firebreak' };
    expect(() => readEnvironment('gate', foreign)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });

  test('may say where to listen, by host and port', () => {
    const listenOf = (text: string) =>
      readEnvironment('gate', { ...own, FIREBREAK_LISTEN: text }).FIREBREAK_LISTEN;
    expect(listenOf('0.0.0.0:8424')).toEqual({ host: '0.0.0.0', port: 8424 });
    expect(listenOf('[::]:8424')).toEqual({ host: '::', port: 8424 });
    for (const text of ['8424', 'gate', 'http://gate:8424', '::8424:']) {
      expect(() => listenOf(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    }
  });
});
