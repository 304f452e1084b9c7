import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { facts, forbid, loadPolicyOf, permit, shippedPolicies } from '../../test/fixtures/policies.ts';
import { loadPolicy } from './load.ts';

test('the shipped bundle loads', async () => {
  await expect(loadPolicy(shippedPolicies)).resolves.toMatchObject({
    digest: expect.stringMatching(/^[\w-]{43}$/),
  });
});

const reason = '@reason("because")';
const allow = 'permit (principal, action, resource);';

test.for([
  {
    name: 'what does not parse',
    text: '@id("ä")\npermit (principal, action resource);',
    sentence: 'a.cedar:2:27: unexpected token `resource`',
  },
  {
    name: 'what does not fit the schema',
    text: `${permit()}\n\n${permit({ id: 'b', when: 'principal.tenannt == "x"' })}`,
    sentence: 'a.cedar:3:',
    help: 'did you mean `tenant`',
  },
  {
    name: 'an optional attribute that is not asked for first',
    text: permit({ when: 'context.counts.rows > 3' }),
    sentence: "try testing for the attribute's presence",
  },
  {
    name: 'a rule that can never apply',
    text: permit({ when: 'principal.risk == "low" && false' }),
    sentence: 'policy is impossible',
  },
  {
    name: 'a missing @id',
    text: `// first\n  ${reason} @quorum("1") @group("operators") ${allow}`,
    sentence: 'a.cedar:2:3: expected @id, found none',
  },
  {
    name: 'an @id twice',
    text: `${permit()}\n${permit({ when: 'principal.risk == "low"' })}`,
    sentence: 'a.cedar:2:1: @id "everything" is taken by a policy in a.cedar',
  },
  {
    name: 'an @id of another form',
    text: permit({ id: 'Every Thing' }),
    sentence: 'expected lower-case letters, digits and dashes in @id, got "Every Thing"',
  },
  {
    name: 'a missing @reason',
    text: `@id("a") @quorum("1") @group("operators") ${allow}`,
    sentence: 'a.cedar:1:1: expected @reason, found none',
  },
  {
    name: 'an empty @reason',
    text: `@id("a") @reason @quorum("1") @group("operators") ${allow}`,
    sentence: 'expected a sentence for people in @reason, got ""',
  },
  {
    name: 'a @reason that no decision can carry',
    text: `@id("a") @reason("${'x'.repeat(401)}") @quorum("1") @group("operators") ${allow}`,
    sentence: 'expected a @reason of at most 400 characters',
  },
  {
    name: 'a forbid without @reason',
    text: `${permit()}\n@id("b") forbid (principal, action, resource);`,
    sentence: 'a.cedar:2:1: expected @reason, found none',
  },
  {
    name: 'a permit without @quorum',
    text: `@id("a") ${reason} @group("operators") ${allow}`,
    sentence: 'a.cedar:1:1: expected @quorum, found none',
  },
  ...['1.5', '-1', 'two', '01', '', ' 1', '1e1', '100'].map((quorum) => ({
    name: `a @quorum of "${quorum}"`,
    text: permit({ quorum }),
    sentence: `expected a whole number from 0 to 10 in @quorum, got "${quorum}"`,
  })),
  {
    name: 'a @quorum that no decision can carry',
    text: permit({ quorum: '11' }),
    sentence: 'expected a @quorum of at most 10',
  },
  {
    name: 'a permit with a quorum and no @group',
    text: permit({ group: '' }),
    sentence: 'a.cedar:1:1: expected @group, found none',
  },
  {
    name: 'an empty @group',
    text: permit({ group: ' ' }),
    sentence: 'expected group names, separated by commas in @group, got " "',
  },
  {
    name: 'an empty name in @group',
    text: permit({ group: 'operators,,security' }),
    sentence: 'expected group names in @group, got ""',
  },
  {
    name: 'an annotation that nobody reads',
    text: `@qorum("3") ${permit()}`,
    sentence: 'a.cedar:1:1: a permit has no @qorum',
  },
  {
    name: 'a @quorum on a forbid',
    text: `${permit()} @quorum("2") ${forbid('b', 'true')}`,
    sentence: 'a forbid has no @quorum',
  },
  {
    name: 'an annotation twice',
    text: `@id("z") ${permit()}`,
    sentence: 'duplicate annotation: @id',
  },
  {
    name: 'a template',
    text: `${permit()}\n@id("b") permit (principal == ?principal, action, resource);`,
    sentence: 'a.cedar:2:1: expected a policy, got a template',
  },
  {
    name: 'no policy at all',
    text: '// nothing\n',
    sentence: 'expected policies beside the schema',
  },
])('a bundle is refused for $name', async ({ text, sentence, help = '' }) => {
  const loaded = loadPolicyOf({ 'a.cedar': text });
  await expect(loaded).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(sentence),
  });
  await expect(loaded).rejects.toMatchObject({ message: expect.stringContaining(help) });
});

test.for([
  {
    name: 'an @id that two files share',
    files: { 'a.cedar': permit(), 'b.cedar': `\n${permit()}` },
    sentence: 'b.cedar:2:1: @id "everything" is taken by a policy in a.cedar',
  },
  {
    name: 'a file of another kind, which may be a misspelt forbid',
    files: { 'a.cedar': permit(), 'b.cedr': forbid('b', 'true') },
    sentence: 'b.cedr: expected only *.cedar',
  },
  {
    name: 'bytes that are no text',
    files: { 'a.cedar': new Uint8Array([0xff, 0xfe, 0x41]) },
    sentence: 'a.cedar: expected a file of UTF-8 text',
  },
  {
    name: 'a schema that does not parse',
    files: { 'a.cedar': permit(), 'schema.cedarschema': 'namespace Firebreak {\n  entity ä;' },
    sentence: 'schema.cedarschema:2:10: failed to parse schema',
  },
  {
    name: 'a schema of another namespace',
    files: { 'a.cedar': permit(), 'schema.cedarschema': 'namespace Other { entity Agent; }' },
    sentence: 'expected actions in namespace Firebreak',
  },
  {
    name: 'a schema that asks for a fact that code does not hand over',
    files: {
      'a.cedar': permit(),
      'schema.cedarschema': `namespace Firebreak {
        entity AgentClass, Target;
        entity Agent in [AgentClass] { mood: String };
        entity Resource in [Target];
        action "a" appliesTo { principal: [Agent], resource: [Resource] };
      }`,
    },
    sentence: 'schema.cedarschema:1:1: error during entity deserialization',
  },
])('a bundle is refused for $name', async ({ files, sentence }) => {
  await expect(loadPolicyOf(files)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(sentence),
  });
});

test('a folder without a schema and a missing folder are refused', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'firebreak-policies-'));
  const refused = { code: 'CONFIG_INVALID' };
  await expect(loadPolicy(directory)).rejects.toMatchObject(refused);
  await expect(loadPolicy(join(directory, 'absent'))).rejects.toMatchObject(refused);
  await cp(shippedPolicies, directory, { recursive: true });
  await expect(loadPolicy(directory)).resolves.toBeDefined();
  await rm(directory, { recursive: true, force: true });
});

test('equal bytes have one digest, and any other byte or name another one', async () => {
  const digestOf = async (files: Record<string, string>) => (await loadPolicyOf(files)).digest;
  const first = await digestOf({ 'a.cedar': permit() });
  expect(await digestOf({ 'a.cedar': permit() })).toBe(first);
  const others = [
    { 'a.cedar': `${permit()} ` },
    { 'a.cedar': `${permit()}\n` },
    { 'a.cedar': `// comment\n${permit()}` },
    { 'b.cedar': permit() },
    { 'a.cedar': permit(), 'b.cedar': '' },
    { 'a.cedar': '', 'b.cedar': permit() },
    { 'a.cedar': permit({ quorum: '2' }) },
  ];
  const digests = await Promise.all(others.map(digestOf));
  expect(new Set([first, ...digests]).size).toBe(others.length + 1);
});

test('what is no policy does not change the digest: README.md and names that begin with a dot', async () => {
  const plain = await loadPolicyOf({ 'a.cedar': permit() });
  const beside = await loadPolicyOf({ 'a.cedar': permit(), 'README.md': 'x', '.a.cedar.swp': 'x' });
  expect(beside.digest).toBe(plain.digest);
  expect(beside.decide(facts)).toEqual(plain.decide(facts));
});
