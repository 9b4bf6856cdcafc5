import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { planFiles } from '../src/cli/plan-files.ts';
import { validateFiles } from '../src/resources/read-files.ts';

const stories = [
  ...readdirSync('examples').filter((name) => !['models', 'broken', 'fleets'].includes(name)),
  ...readdirSync('examples/fleets').map((name) => join('fleets', name)),
];

for (const story of stories) {
  test(`examples/${story} is valid and every deployment in it is planned or refused with numbers`, async () => {
    const { plans, problems } = await planFiles([join('examples', story)]);
    assert.deepEqual(problems, []);
    assert.ok(plans.length > 0);
    for (const { name, result } of plans) {
      if (story === 'does-not-fit') {
        assert.ok(!result.ok);
        assert.match(result.message, /on mini-1.*short by .*[\d,]+ bytes/);
      } else if (story === 'priorities' && name === 'batch') {
        assert.match(result.ok ? '' : result.message, /held by default\/chat \(priority 100\)/);
      } else assert.ok(result.ok, JSON.stringify(result));
    }
  });
}

test('every file in examples/broken is refused with file, line and what to do', () => {
  for (const name of readdirSync('examples/broken')) {
    const file = join('examples/broken', name);
    const { problems } = validateFiles([file]);
    assert.ok(problems.length > 0, `${file} is valid`);
    for (const problem of problems) {
      assert.equal(problem.file, file);
      assert.ok(problem.line >= 1);
      assert.ok(problem.message.length > 20, problem.message);
    }
  }
});
