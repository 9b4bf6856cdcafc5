import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { promqlPath } from '../../scripts/setup/kube-test.ts';
import { exposedMetrics } from '../manifests/exposed-metrics.ts';
import { runCommand } from './support/kubectl.ts';

const folder = 'manifests/overlays/monitoring';

interface Verdict {
  error: string;
  metrics: string[];
  labels: string[];
}

const judged = async (expressions: string[]): Promise<Verdict[]> => {
  const input = JSON.stringify(expressions);
  const { code, stdout, stderr } = await runCommand(promqlPath(), [], { input });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Verdict[];
};

interface Rules {
  spec: { groups: { rules: { expr: string }[] }[] };
}

interface Dashboard {
  panels: { targets: { expr: string }[] }[];
}

/** Grafana puts a length of time there. */
const withoutVariables = (expression: string): string =>
  expression.replaceAll(/\$\w+|\$\{\w+\}/g, '5m');

const expressions = (): string[] => {
  const rules = parse(readFileSync(`${folder}/rules.yaml`, 'utf8')) as Rules;
  const dashboard = JSON.parse(readFileSync(`${folder}/dashboard.json`, 'utf8')) as Dashboard;
  return [
    ...rules.spec.groups.flatMap((group) => group.rules.map(({ expr }) => expr)),
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => withoutVariables(expr))),
  ];
};

/** Prometheus' own, of a bucket and of what it scraped. */
const targetLabels = ['le', 'job', 'instance', 'namespace', 'service', 'pod'];

test('Prometheus parses every expression; each metric and label in them is one of ours', async () => {
  const { labels } = await exposedMetrics();
  const texts = expressions();
  const used = new Set<string>();
  for (const [index, { error, metrics, labels: named }] of (await judged(texts)).entries()) {
    const text = texts[index]!;
    assert.equal(error, '', text);
    const known = new Set(targetLabels);
    for (const metric of metrics) {
      const name = labels.has(metric) ? metric : metric.replace(/_(bucket|sum|count)$/, '');
      assert.ok(labels.has(name), `${metric} in ${text}`);
      for (const label of labels.get(name)!) known.add(label);
      used.add(name);
    }
    for (const label of named) assert.ok(known.has(label), `${label} in ${text}`);
  }
  assert.ok(used.size > 20, [...used].join(' '));
});

test('the parser refuses what is not PromQL', async () => {
  const [open, unknown] = await judged(['sum(rate(x_total[5m])', 'median(x)']);
  assert.match(open!.error, /parenthes/);
  assert.match(unknown!.error, /unknown function/);
});
