import { createInventory } from './inventory.ts';
import { predict } from './performance/predict.ts';
import { createEvaluators } from './search/evaluate.ts';
import type { Predict } from './search/evaluate.ts';
import { createGroupPlanner } from './search/group.ts';
import type { PlanInput, PlanResult } from './types.ts';

/**
 * Decides how one group of a deployment is cut, on which nodes, with which engine, over what. Pure: the same
 * input gives the same plan, and the order of nodes and links changes nothing.
 *
 * Tried in order: what was asked for, then the rungs of the degradation ladder, over RDMA if that was asked
 * for, then all of it over TCP if that is allowed. Among what fits, spec.objective decides by predicted speed,
 * and each further node must earn its keep. Where no speed is known, strategy Auto takes the fewest ranks.
 */
export const plan = (
  { nodes, catalogue, corrections = [], ...request }: PlanInput,
  how: Predict = predict,
): PlanResult => {
  const { performance } = catalogue;
  const evaluators = createEvaluators({ predict: how, performance, corrections });
  return createGroupPlanner(createInventory(nodes, catalogue), evaluators).plan(request);
};
