import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { exposedMetrics } from './exposed-metrics.ts';

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

/** What an expression names: words before a brace, a bracket or a closing parenthesis. */
const metricsOf = (expr: string): string[] =>
  [...expr.replaceAll(/\{[^}]*\}/g, '{}').matchAll(/\b([a-z]\w*_\w+)\b/g)]
    .map(([, name]) => name!)
    .filter((name) => name !== 'histogram_quantile');

test('every metric of the alert rules and the dashboard exists', async () => {
  const { labels } = await exposedMetrics();
  const expressions = [
    ...rules().map(({ expr }) => expr),
    ...panels().flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ];
  const used = new Set(expressions.flatMap(metricsOf));
  assert.ok(used.size > 20, [...used].join(' '));
  for (const name of used) {
    const metric = labels.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
    assert.ok(labels.has(metric), `${name} is not a metric of ours`);
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
  const { text } = await exposedMetrics();
  for (const [, name, kind] of text.matchAll(/^# TYPE (espalier_\w+) (\w+)$/gm)) {
    assert.match(text, new RegExp(`^# HELP ${name} .+\\.$`, 'm'));
    if (kind === 'counter') assert.match(name!, /_total$/);
    if (kind === 'histogram') assert.match(name!, /_seconds$/);
  }
});
