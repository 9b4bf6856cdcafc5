import type { EngineCapability } from '../catalogue/engine-capabilities.ts';
import type { ModelProfile } from '../catalogue/model-profile.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import type { Refusal } from './refusal.ts';

/** Why no fleet could meet this request with what this release has; undefined when one could. */
export const requestRefusal = (
  spec: ModelDeploymentSpec,
  model: ModelProfile,
  engine: EngineCapability,
): Refusal | undefined => {
  const cause =
    otherEngine(spec, engine) ??
    foreignModel(model, engine) ??
    expertParallel(spec) ??
    contradiction(spec);
  return cause && { option: `Engine ${spec.runtime.name}`, terminal: true, ...cause };
};

type Cause = Pick<Refusal, 'reason' | 'message'> & { option?: string };

const otherEngine = (spec: ModelDeploymentSpec, engine: EngineCapability): Cause | undefined =>
  spec.runtime.name === 'Auto' || spec.runtime.name === engine.name
    ? undefined
    : {
        reason: 'EngineUnavailable',
        message: `engine ${spec.runtime.name} is not available yet, only ${engine.name} is: set spec.runtime.name to Auto or ${engine.name}`,
      };

const foreignModel = (model: ModelProfile, engine: EngineCapability): Cause | undefined => {
  if (!engine.architectures.includes(model.architecture)) {
    return {
      reason: 'IncompatibleModel',
      message: `architecture ${model.architecture} is not one that engine ${engine.name} runs: ${engine.architectures.join(', ')}`,
    };
  }
  const cause = model.unsupportedBy?.[engine.name];
  return cause === undefined
    ? undefined
    : {
        reason: 'IncompatibleModel',
        message: `engine ${engine.name} runs ${model.architecture}, but not with this config.json: ${cause}`,
      };
};

const expertParallel = ({ parallelism }: ModelDeploymentSpec): Cause | undefined =>
  (parallelism.expertSize ?? 1) === 1
    ? undefined
    : {
        option: `Expert ${parallelism.expertSize}`,
        reason: 'NotAvailableYet',
        message: `spec.parallelism.expertSize ${parallelism.expertSize}: expert parallelism is not available yet`,
      };

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
