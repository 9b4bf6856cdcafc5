/**
 * What the planner predicts beside what was published.
 *   npm run calibration                          every measurement, then medians and worst by group
 *   npm run calibration -- -o json               the same as JSON
 *   npm run calibration -- --held-out family     refitted without each family in turn; also chip, source, engine
 *   npm run calibration -- --fit                 fits the parameters again and writes performance.yaml (minutes)
 */
import { parseArgs } from 'node:util';
import { loadCatalogue } from '../src/catalogue/load-catalogue.ts';
import { compare, samplesOf } from './calibration/compare.ts';
import { calibration, further, heldOut } from './calibration/measurements.ts';
import { comparedWithoutGroup, writeFit } from './calibration/refit.ts';
import { groupTables, rowTable, toJSON, unusableList } from './calibration/report.ts';
import { groupings } from './calibration/statistics.ts';

const { values: options } = parseArgs({
  options: {
    output: { type: 'string', short: 'o', default: 'text' },
    'held-out': { type: 'string' },
    fit: { type: 'boolean', default: false },
  },
});

const catalogue = loadCatalogue();
const fitted = [...calibration(), ...further()];
const samples = samplesOf(fitted, catalogue);
const write = (text: string) => process.stdout.write(`${text}\n`);

const without = groupings.find((grouping) => grouping === options['held-out']);
if (options['held-out'] !== undefined && !without) {
  throw new Error(`--held-out: expected ${groupings.join(', ')}, got ${options['held-out']}`);
}

if (options.fit) {
  writeFit(samples, catalogue);
  write('src/catalogue/data/performance.yaml: written');
} else if (without) {
  const comparisons = comparedWithoutGroup(samples, catalogue, without);
  write(`Each ${without} predicted by a fit without it\n`);
  write(options.output === 'json' ? toJSON(comparisons, []) : groupTables(comparisons, [without]));
} else {
  const sets = [
    { title: 'Calibration', rows: calibration() },
    { title: 'Further, part of the fit', rows: further() },
    { title: 'Held out, never part of the fit', rows: heldOut() },
  ].map(({ title, rows }) => ({
    title,
    unusable: rows.filter(({ unusable }) => unusable !== undefined),
    comparisons: samplesOf(rows, catalogue).map((sample) => compare(sample, catalogue.performance)),
  }));
  if (options.output === 'json') {
    write(
      `[${sets.map(({ title, comparisons, unusable }) => `{"set": "${title}", "rows": ${toJSON(comparisons, unusable)}}`).join(',\n')}]`,
    );
  } else {
    for (const { title, comparisons, unusable } of sets) {
      write(`${title}\n${'='.repeat(title.length)}\n`);
      write(rowTable(comparisons));
      write(groupTables(comparisons, ['engine', 'nodes', 'family', 'chip']));
      write(unusableList(unusable));
    }
  }
}
