/** Writes docs/errors.md from the catalogue: run it after adding a code (a test compares the two). */
import { writeFileSync } from 'node:fs';
import { errorCatalogue } from '../src/base/errors.ts';

const rows = Object.entries(errorCatalogue).map(
  ([code, { kind, summary }]) => `| \`${code}\` | ${kind} | ${summary} |`,
);
writeFileSync(
  new URL('../docs/errors.md', import.meta.url),
  `# Errors

Every error of Espalier has a code from one catalogue (\`src/base/errors.ts\`), a message that says what was
expected, what came, where and what to do, and its facts as fields. The same code stands in logs, in
conditions and events, in node reports and on the command line (in square brackets).

The kind decides what the control plane does: **terminal** waits for you (the condition is \`Stalled\`),
**waiting** looks again after a while, **retry** backs off and tries again.

| code | kind | what it means |
| --- | --- | --- |
${rows.join('\n')}
`,
);
