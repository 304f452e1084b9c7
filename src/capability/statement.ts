import type { PlanBody, Statement } from '../action/define.ts';
import type { Json } from '../canonical.ts';
import { canonicalText } from '../canonical.ts';

type StatementFacts = Omit<Statement, 'version' | 'effects'> & { plan: PlanBody };

/**
 * What the target is told to do, as the exact text that both MACs cover. Gate and credentials service build it
 * each for itself from the plan that people approved; no action's code has a say.
 */
export function statementText({ plan, ...facts }: StatementFacts): string {
  const effects: Json = plan.effects;
  const statement: Statement = { version: 1, ...facts, effects };
  return canonicalText(statement);
}
