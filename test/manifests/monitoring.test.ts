import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { pino } from 'pino';
import { parse } from 'yaml';
import { systemClock as clock } from '../../src/base/clock.ts';
import { createProcessMetrics } from '../../src/base/metrics.ts';
import { operatorHealth } from '../../src/cli/operator-health.ts';
import { createHub } from '../../src/hub/hub.ts';
import { createRouter } from '../../src/router/router.ts';
import { countRequests } from '../../src/store/kubernetes/request-metrics.ts';
import { harness } from '../controller/harness.ts';

const folder = 'manifests/overlays/monitoring';

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; runbook: string };
}
const rules = (): Rule[] =>
  parse(readFileSync(`${folder}/rules.yaml`, 'utf8')).spec.groups.flatMap(
    (group: { rules: Rule[] }) => group.rules,
  );

interface Panel {
  title: string;
  targets: { expr: string }[];
}
const panels = (): Panel[] => JSON.parse(readFileSync(`${folder}/dashboard.json`, 'utf8')).panels;

/** Series with their labels, as every room of the operator describes them. */
const exposed = async (): Promise<{ names: Set<string>; text: string }> => {
  const metrics = createProcessMetrics();
  const logger = pino({ level: 'silent' });
  const world = harness(['a']);
  await world.startControlPlane({ metrics });
  createHub({ metrics, logger, clock, host: '127.0.0.1', port: 0, epoch: 1, onStale: () => {} });
  createRouter({ metrics, logger, clock, routes: { routes: () => [] } });
  countRequests(async () => Promise.reject(new Error('not called')), metrics, 'https://127.0.0.1');
  const progress = { isLeading: true, isLooking: true };
  operatorHealth({ metrics, logger, clock, progress });
  return { names: new Set(metrics.names()), text: await metrics.text() };
};

/** What an expression names: words before a brace, a bracket or a closing parenthesis. */
const metricsOf = (expr: string): string[] =>
  [...expr.replaceAll(/\{[^}]*\}/g, '{}').matchAll(/\b([a-z]\w*_\w+)\b/g)]
    .map(([, name]) => name!)
    .filter((name) => name !== 'histogram_quantile');

test('every metric of the alert rules and the dashboard exists', async () => {
  const { names } = await exposed();
  const expressions = [
    ...rules().map(({ expr }) => expr),
    ...panels().flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ];
  const used = new Set(expressions.flatMap(metricsOf));
  assert.ok(used.size > 20, [...used].join(' '));
  for (const name of used) {
    const metric = names.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
    assert.ok(names.has(metric), `${name} is not a metric of ours`);
  }
});

test('parentheses and braces of every expression close', () => {
  for (const { alert, expr } of rules()) {
    for (const [open, close] of ['()', '{}', '[]']) {
      assert.equal(expr.split(open!).length, expr.split(close!).length, `${alert}: ${expr}`);
    }
  }
});

test('every alert says what to do', () => {
  for (const { alert, labels, annotations } of rules()) {
    assert.match(alert, /^Espalier[A-Z]/);
    assert.match(labels.severity, /^(warning|critical)$/);
    assert.ok(annotations.summary.length > 0 && annotations.runbook.length > 40, alert);
  }
});

test('every metric of ours is described, and its name ends in its unit', async () => {
  const { text } = await exposed();
  for (const [, name, kind] of text.matchAll(/^# TYPE (espalier_\w+) (\w+)$/gm)) {
    assert.match(text, new RegExp(`^# HELP ${name} .+\\.$`, 'm'));
    if (kind === 'counter') assert.match(name!, /_total$/);
    if (kind === 'histogram') assert.match(name!, /_seconds$/);
  }
});
