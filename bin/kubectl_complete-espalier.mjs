#!/usr/bin/env node
// kubectl runs this to complete `kubectl espalier …`: the words so far, the last of which is to be completed.
process.env['ESPALIER_INVOKED_AS'] = 'kubectl espalier';
process.argv.splice(2, 0, '__complete', '--');
await import('./espalier.mjs');
