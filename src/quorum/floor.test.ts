import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { effectClasses } from '../action/define.ts';
import { floorOf, floorTotal } from './floor.ts';

test('the floor is read 0, reversible 1 vote, irreversible and export 1 personal, privilege and cross-tenant 2', () => {
  expect(Object.fromEntries(effectClasses.map((name) => [name, floorOf(name, 0)]))).toEqual({
    read: { relayed: 0, personal: 0 },
    reversible: { relayed: 1, personal: 0 },
    irreversible: { relayed: 0, personal: 1 },
    export: { relayed: 0, personal: 1 },
    privilege: { relayed: 0, personal: 2 },
    'cross-tenant': { relayed: 0, personal: 2 },
  });
});

test('overshoot of any size costs one more vote, personal where the class is', () => {
  fc.assert(
    fc.property(fc.constantFrom(...effectClasses), fc.integer({ min: 1, max: 50 }), (name, count) => {
      const without = floorOf(name, 0);
      const withOvershoot = floorOf(name, count);
      expect(floorTotal(withOvershoot)).toBe(floorTotal(without) + 1);
      expect(withOvershoot.relayed > 0).toBe(without.personal === 0);
    }),
  );
});
