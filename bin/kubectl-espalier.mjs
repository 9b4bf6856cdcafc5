#!/usr/bin/env node
// kubectl runs this for `kubectl espalier …`: a plugin is any program on PATH with such a name.
process.env['ESPALIER_INVOKED_AS'] = 'kubectl espalier';
await import('./espalier.mjs');
