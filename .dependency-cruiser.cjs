/**
 * Which room may import which: data flows one way, and a captured room reaches no further than its door.
 * A room that is not named as a reader of another one may not import it; `npm run check` holds everybody to it.
 */
const services = ['broker', 'gate', 'credentials', 'doors'];

/** Room → the rooms that its files may import besides the plain files of `src` and itself. */
const mayImport = {
  'src/action': ['src/identity'],
  'src/policy': ['src/action', 'src/quorum', 'src/identity'],
  'src/quorum': ['src/action', 'src/identity'],
  'src/identity': ['src/action'],
  'src/capability': ['src/action', 'src/identity', 'src/policy', 'src/quorum'],
  'src/ledger': ['src/action', 'src/identity', 'src/quorum', 'src/database', 'src/call'],
  'src/call': ['src/action', 'src/identity'],
  'src/database': ['src/action', 'src/identity'],
  'src/temporal': ['src/identity', 'workflows'],
  'src/doors': [
    'src/action',
    'src/call',
    'src/database',
    'src/identity',
    'src/ledger',
    'src/quorum',
    'src/temporal',
  ],
  'src/broker': [
    'src/action',
    'src/call',
    'src/capability',
    'src/database',
    'src/identity',
    'src/ledger',
    'src/policy',
    'src/quorum',
  ],
  'src/gate': [
    'src/action',
    'src/call',
    'src/capability',
    'src/database',
    'src/identity',
    'src/ledger',
    'src/policy',
    'src/quorum',
  ],
  'src/credentials': [
    'src/action',
    'src/call',
    'src/capability',
    'src/database',
    'src/identity',
    'src/ledger',
    'src/quorum',
  ],
  // A client of the doors: it shares their parsers and their forms, never their power.
  'src/cli': [
    'src/call',
    'src/database',
    'src/dev',
    'src/doors',
    'src/identity',
    'src/ledger',
    'src/main',
    'src/action',
  ],
  'src/dev': [
    'src/action',
    'src/call',
    'src/database',
    'src/identity',
    'src/ledger',
    'src/main',
    'src/cli',
    'activities',
  ],
  activities: [
    'src/action',
    'src/call',
    'src/database',
    'src/dev',
    'src/identity',
    'src/ledger',
    'src/quorum',
    'src/temporal',
  ],
  workflows: ['src/temporal', 'activities'],
};

const literally = (room) => room.replaceAll('.', '\\.');

const table = Object.entries(mayImport).map(([room, others]) => ({
  name: `table: ${room}`,
  comment: `${room} may import ${others.join(', ')}, itself, and the plain files of src`,
  severity: 'error',
  from: { path: `^${literally(room)}/`, pathNot: '\\.test\\.ts$|/test-[^/]*\\.ts$' },
  to: {
    path: '^(src|activities|workflows|test|bench)/',
    pathNot: [`^${literally(room)}/`, '^src/[^/]+\\.ts$', ...others.map((other) => `^${literally(other)}/`)],
  },
}));

module.exports = {
  forbidden: [
    ...table,
    {
      name: 'tests stay outside',
      comment: 'what runs in production imports no test',
      severity: 'error',
      from: { path: '^(src|activities|workflows)/', pathNot: '\\.test\\.ts$' },
      to: { path: '^test/|\\.test\\.ts$' },
    },
    {
      name: 'domains are doors',
      comment: 'one domain reaches another one by src/call alone',
      severity: 'error',
      from: { path: `^src/(${services.join('|')})/([^/]+)`, pathNot: '\\.test\\.ts$' },
      to: { path: `^src/(${services.join('|')})/`, pathNot: '^src/$1/' },
    },
    {
      name: 'two doors',
      comment: 'agents and people come in by different doors',
      severity: 'error',
      from: { path: '^src/doors/(agents|people)/', pathNot: '\\.test\\.ts$' },
      to: { path: '^src/doors/', pathNot: '^src/doors/$1/' },
    },
    {
      name: 'R6: the last check runs no strangers code',
      comment:
        'gate and credentials service read signed manifests; they never load a definition or an effect',
      severity: 'error',
      from: { path: '^src/(gate|credentials|capability)/|^src/main/(gate|credentials)\\.ts$' },
      to: { path: '^activities/|^src/action/load\\.ts$', reachable: true },
    },
    {
      name: 'workers',
      comment: 'only orchestrator, planner and executor run Temporal workers',
      severity: 'error',
      from: {
        path: '^src/',
        pathNot: '^src/temporal/|^src/main/(orchestrator|planner|executor)\\.ts$|\\.test\\.ts$',
      },
      to: { path: '^src/temporal/(worker|bundle)\\.ts$|@temporalio/worker' },
    },
    {
      name: 'workflows are deterministic',
      comment: 'rules by value, activities as types; nothing of Node, no library but Temporal',
      severity: 'error',
      from: { path: '^workflows/', pathNot: '\\.test\\.ts$' },
      to: { path: '^activities/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'workflows have no Node',
      severity: 'error',
      from: { path: '^workflows/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no circles',
      severity: 'error',
      from: {},
      to: { circular: true, dependencyTypesNot: ['type-only'] },
    },
    { name: 'nothing unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: 'node_modules' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.mjs', '.js', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types'],
    },
  },
};
