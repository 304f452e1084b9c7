import { readFileSync } from 'node:fs';
import { rowHashSql, settingLines } from './fingerprint.ts';
import { HANDS, OWNER } from './install-script.ts';
import { baseTypeSql, changeHazardsSql, formHazardsSql } from './introspect.ts';
import {
  CASCADE_TABLES_MAX,
  READ_BYTES_MAX,
  READ_ROWS_MAX,
  ROWS_MAX,
  TARGET_LOCK_TIMEOUT_MS,
  TARGET_STATEMENT_TIMEOUT_MS,
} from './limits.ts';
import { deleteTriggersSql, insertTriggersSql, referencesSql } from './references.ts';

/**
 * Tables and functions that stand in a target, as text. What checks MACs and keeps the record belongs to one role, what
 * changes rows to another one: triggers of the application run with the rights of the second.
 */
const ownerFiles = ['target.sql', 'target-rows.sql', 'target-undo.sql', 'target-perform.sql'];
const handsFiles = ['target-delete.sql', 'target-put.sql', 'target-read.sql'];

/** Tables and functions of the schemas `firebreak` and `firebreak_hands`, each as its owner. */
export function schemaSql(): string {
  return [
    `set local role ${OWNER}`,
    filesSql(ownerFiles),
    nothingForPublicSql,
    toHandsSql,
    `set local role ${HANDS}`,
    filesSql(handsFiles),
    `revoke all on all functions in schema firebreak_hands from public`,
    `grant execute on all functions in schema firebreak_hands to ${OWNER}`,
    `set local role ${OWNER}`,
    // Without usage nobody whom a trigger might grant these functions to could name them.
    `revoke create, usage on schema firebreak_hands from ${HANDS}`,
  ].join(';\n');
}

function filesSql(files: readonly string[]): string {
  const parts: Record<string, string> = {
    form_hazards: formHazardsSql('$1'),
    change_hazards: changeHazardsSql('$1'),
    references: referencesSql('$1'),
    delete_triggers: deleteTriggersSql('$1'),
    insert_triggers: insertTriggersSql('$1'),
    base_type: baseTypeSql('$1'),
    row_hash: rowHashSql('t'),
    settings: settingLines('set').join('\n'),
    rows_max: String(ROWS_MAX),
    cascade_tables_max: String(CASCADE_TABLES_MAX),
    read_rows_max: String(READ_ROWS_MAX),
    read_bytes_max: String(READ_BYTES_MAX),
    statement_timeout_ms: String(TARGET_STATEMENT_TIMEOUT_MS),
    lock_timeout_ms: String(TARGET_LOCK_TIMEOUT_MS),
  };
  const texts = files.map((name) => readFileSync(new URL(name, import.meta.url), 'utf8'));
  return texts.join('\n').replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const part = parts[name];
    if (part === undefined) throw new Error(`target.sql names ${name}, which is not known`);
    return part;
  });
}

/** A new function is executable by PUBLIC until this; it is the same transaction, so nobody sees it before. */
const nothingForPublicSql = `revoke all on all tables in schema firebreak from public;
revoke all on all functions in schema firebreak from public`;

/** The steps of a change run with the rights of whoever calls them. The two that do not are not for the hands. */
const toHandsSql = `grant usage on schema firebreak to ${HANDS};
grant execute on all functions in schema firebreak to ${HANDS};
revoke execute on function firebreak.perform(text, text, text), firebreak.kept_rows(text) from ${HANDS};
grant create, usage on schema firebreak_hands to ${HANDS}`;
