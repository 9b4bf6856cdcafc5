import { kubeTestPath } from '../../../scripts/setup/kube-test.ts';
import { runCommand } from './kubectl.ts';

export interface KstatusVerdict {
  status: 'InProgress' | 'Failed' | 'Current' | 'Terminating' | 'NotFound' | 'Unknown';
  message: string;
}

/** What kstatus itself, the library that Flux and kpt wait with, says of each object. */
export const kstatus = async (objects: readonly unknown[]): Promise<KstatusVerdict[]> => {
  const { code, stdout, stderr } = await runCommand(kubeTestPath(), ['kstatus'], {
    input: JSON.stringify(objects),
  });
  if (code !== 0) throw new Error(`kstatus: exit ${code}\n${stderr}`);
  return JSON.parse(stdout) as KstatusVerdict[];
};
