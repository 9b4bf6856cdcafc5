/** Who may import whom: the rooms under src/ and what each may reach for. The lint rules are made from it. */
export const rooms: Readonly<Record<string, readonly string[]>> = {
  base: [],
  resources: ['base'],
  catalogue: ['base'],
  planner: ['base', 'resources', 'catalogue'],
  nodedoc: ['base', 'resources'],
  controller: ['base', 'resources', 'planner', 'nodedoc'],
  'store/directory': ['base', 'resources', 'controller'],
  'store/kubernetes': ['base', 'resources', 'controller'],
  hub: ['base', 'nodedoc', 'controller'],
  transport: ['base'],
  engines: ['base', 'nodedoc', 'transport'],
  daemon: ['base', 'nodedoc', 'transport', 'engines'],
  router: ['base', 'nodedoc'],
  cli: [
    'base',
    'resources',
    'catalogue',
    'planner',
    'nodedoc',
    'controller',
    'store/directory',
    'store/kubernetes',
    'hub',
    'transport',
    'engines',
    'daemon',
    'router',
  ],
};

/** Of these rooms only the named file may be imported: their ports, not their insides. */
export const portsOnly: Readonly<Record<string, string>> = {
  'store/directory': 'controller/ports.ts',
  'store/kubernetes': 'controller/ports.ts',
  hub: 'controller/ports.ts',
};

/** Packages that only one room may import. */
export const packageOwners: Readonly<Record<string, readonly string[]>> = {
  execa: ['engines'],
  chokidar: ['store/directory'],
  ajv: ['resources', 'nodedoc', 'catalogue'],
  commander: ['cli'],
  '@huggingface/tokenizers': ['engines'],
  '@huggingface/jinja': ['engines'],
  '@marcbachmann/cel-js': ['resources'],
  'prom-client': ['base'],
  '@kubernetes/client-node': ['store/kubernetes'],
  undici: ['store/kubernetes'],
};
