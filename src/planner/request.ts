import type { ModelDeploymentSpec } from '../resources/types.ts';
import type { Refusal } from './refusal.ts';

/** Why no fleet and no engine could meet this request; undefined when one could. */
export const requestRefusal = (spec: ModelDeploymentSpec): Refusal | undefined => {
  const cause = contradiction(spec);
  return cause && { option: `Engine ${spec.runtime.name}`, terminal: true, ...cause };
};

type Cause = Pick<Refusal, 'reason' | 'message'> & { option?: string };

/** Sizes that say something else than the strategy. */
const contradiction = ({ parallelism }: ModelDeploymentSpec): Cause | undefined => {
  const { strategy, tensorSize = 1, pipelineSize = 1 } = parallelism;
  const mayCutTensor = strategy === 'Auto' || strategy === 'Tensor' || strategy === 'Hybrid';
  const mayCutLayers = strategy === 'Auto' || strategy === 'Pipeline' || strategy === 'Hybrid';
  const wrong =
    !mayCutTensor && tensorSize > 1
      ? `tensorSize ${tensorSize}`
      : !mayCutLayers && pipelineSize > 1
        ? `pipelineSize ${pipelineSize}`
        : undefined;
  return wrong === undefined
    ? undefined
    : {
        option: strategy,
        reason: 'InvalidSpec',
        message: `spec.parallelism.strategy ${strategy} contradicts ${wrong}`,
      };
};
