/** What planner, target and executor hold each other to. */
export const ROWS_MAX = 10_000;
/** How far a deletion is followed along foreign keys: tables besides the named one, and steps from it. */
export const CASCADE_TABLES_MAX = 10;
export const CASCADE_STEPS_MAX = 32;
/** Triggers that one act may fire. */
export const TRIGGERS_MAX = 20;
/** Rows and bytes of JSON text that one read hands out. */
export const READ_ROWS_MAX = 1_000;
export const READ_BYTES_MAX = 1_024 * 1_024;
/** The longest call of `firebreak.perform`; also how long after `notAfter` a call may still come to its end. */
export const TARGET_STATEMENT_TIMEOUT_MS = 20_000;
export const TARGET_LOCK_TIMEOUT_MS = 5_000;
export const TARGET_CONNECT_TIMEOUT_MS = 5_000;
/** How long a connection that was kept may take to say that it lives. */
export const TARGET_PROBE_TIMEOUT_MS = 1_000;
/** Connections that planner and executor keep to one target, and how many the target grants to their logins. */
export const PLANNER_KEPT_MAX = 8;
export const PLANNER_CONNECTIONS_MAX = 10;
export const EXECUTOR_KEPT_MAX = 16;
export const EXECUTOR_CONNECTIONS_MAX = 20;
