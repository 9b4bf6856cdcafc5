import { Command } from 'commander';
import { conditionTime } from '../../resources/conditions.ts';
import type { ModelDeploymentSpec } from '../../resources/types.ts';
import { runEdit, withEditOptions } from '../edit/run-edit.ts';
import type { EditOptions } from '../edit/run-edit.ts';
import { namespaceOf, openBackend } from '../backend/choose.ts';
import { bareName } from '../objects.ts';

/** A command that changes the spec of one deployment and needs nothing but its name. */
const specCommand = (
  command: Command,
  {
    done,
    change,
  }: { done: string; change: () => (spec: ModelDeploymentSpec) => ModelDeploymentSpec },
): Command =>
  withEditOptions(
    command.argument('<deployment>', 'name of the ModelDeployment, or mdep/<name>'),
  ).action(async (name: string, options: EditOptions) => {
    const backend = await openBackend(options);
    await runEdit(
      backend,
      {
        kind: 'ModelDeployment',
        namespace: namespaceOf(backend, options),
        name: bareName(name),
        change: change(),
      },
      { options, done },
    );
  });

export const pauseCommand = (): Command =>
  specCommand(
    new Command('pause')
      .description('Roll out nothing new until resume; what runs is still scaled and healed')
      .addHelpText(
        'after',
        '\nExamples:\n  espalier pause sprout\n  espalier pause sprout --dry-run',
      ),
    { done: 'paused', change: () => (spec) => ({ ...spec, paused: true }) },
  );

export const resumeCommand = (): Command =>
  specCommand(
    new Command('resume')
      .description('Go on with the rollout of a paused deployment')
      .addHelpText('after', '\nExample:\n  espalier resume sprout'),
    { done: 'resumed', change: () => (spec) => ({ ...spec, paused: false }) },
  );

export const restartCommand = (): Command =>
  specCommand(
    new Command('restart')
      .description('Start every group anew, in the way that spec.strategy says')
      .addHelpText(
        'after',
        `
Sets spec.restartTime to now. The revision stays the same; with strategy RollingUpdate groups go one after another.
A paused deployment restarts when it is resumed.

Example:
  espalier restart sprout`,
      ),
    {
      done: 'restarted',
      change: () => {
        const restartTime = conditionTime(new Date());
        return (spec) => ({ ...spec, restartTime });
      },
    },
  );
