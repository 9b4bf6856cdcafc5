import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gitChange } from '../../../src/cli/edit/git-change.ts';
import { deployment } from '../objects.ts';

test('the change to commit leaves out what defaults say anyway', () => {
  const live = deployment('m', {
    spec: { runtime: { contextLength: 512 }, parallelism: { strategy: 'Tensor', tensorSize: 2 } },
  });
  const { spec } = live;
  const change = gitChange(live, { ...spec, runtime: { ...spec.runtime, contextLength: 1024 } });
  assert.equal(
    change,
    `--- a/m.yaml
+++ b/m.yaml
@@ -7,7 +7,7 @@
   model:
     uri: file:///models/m
   runtime:
-    contextLength: 512
+    contextLength: 1024
   parallelism:
     strategy: Tensor
     tensorSize: 2`,
  );
});

test('a field that becomes its default goes from the YAML', () => {
  const live = deployment('m', { spec: { paused: true } });
  const change = gitChange(live, { ...live.spec, paused: false });
  assert.match(change, /^-  paused: true$/m);
  assert.doesNotMatch(change, /^\+ /m);
});
