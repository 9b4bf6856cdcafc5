import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The CRDs come with its Go module, which Go checks against its database of sums; scripts/test-kubernetes.ts fetches it. */
export const prometheusOperator = 'github.com/prometheus-operator/prometheus-operator@v0.85.0';
const deadlineMs = 5 * 60_000;

/** Files of the kinds that manifests/overlays/monitoring uses. */
export const prometheusOperatorCRDs = (): string[] => {
  const { status, stdout, stderr, error } = spawnSync(
    'go',
    ['mod', 'download', '-json', prometheusOperator],
    {
      cwd: tmpdir(),
      encoding: 'utf8',
      timeout: deadlineMs,
      env: { ...process.env, GOTOOLCHAIN: 'local' },
    },
  );
  if (status !== 0)
    throw new Error(`go mod download ${prometheusOperator}`, { cause: error ?? stderr });
  const { Dir: folder } = JSON.parse(stdout) as { Dir: string };
  return ['servicemonitors', 'prometheusrules'].map((plural) =>
    join(folder, 'example/prometheus-operator-crd', `monitoring.coreos.com_${plural}.yaml`),
  );
};
