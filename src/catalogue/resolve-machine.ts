import type { Catalogue, ChipFacts, MachineConfiguration, MachineFacts } from './facts.ts';

export interface ResolvedMachine {
  chip: ChipFacts;
  machine?: MachineFacts;
  /** What was assumed where the node does not say: "M4 Pro with 16 GPU cores: of the variants …". */
  assumption?: string;
}

/**
 * The chip variant, and the machine if it is known, of a node. `hardwareModel` is an identifier ("Mac15,14"), a
 * marketing name or a chip's; `chip` what macOS says of the chip ("M3 Ultra"). Which variant follows from the
 * memory. Undefined for what the catalogue does not have.
 */
export const resolveMachine = (
  catalogue: Catalogue,
  {
    hardwareModel,
    chip,
    memoryBytes,
  }: { hardwareModel: string; chip: string; memoryBytes: number },
): ResolvedMachine | undefined => {
  const chipName = withoutMaker(chip);
  const isNamed = (name: string) => name.toLowerCase() === hardwareModel.toLowerCase();
  const candidates = catalogue.machines.filter(
    ({ modelIdentifiers, marketingName }) =>
      modelIdentifiers.some(isNamed) || isNamed(marketingName),
  );
  const machine = candidates.find((each) => each.chip === chipName) ?? candidates[0];
  const memoryGiB = memoryBytes / 2 ** 30;
  if (machine) {
    const configuration = configurationOf(machine, memoryGiB);
    const found = variants(catalogue, machine.chip).find(
      ({ gpuCores }) => gpuCores === configuration.gpuCores,
    );
    return found && { chip: found, machine, ...assumptionOf(catalogue, found) };
  }
  const named = variants(catalogue, chipName === '' ? withoutMaker(hardwareModel) : chipName);
  const sold = catalogue.machines.filter((each) => each.chip === named[0]?.chip);
  const cores = sold.map((each) => configurationOf(each, memoryGiB).gpuCores);
  const found =
    named.find(({ gpuCores }) => gpuCores === Math.min(...cores)) ??
    named.toSorted((a, b) => a.gpuCores - b.gpuCores)[0];
  return found && { chip: found, ...assumptionOf(catalogue, found) };
};

/** The one with this memory; else the largest below; else the smallest. */
const configurationOf = (
  { configurations }: MachineFacts,
  memoryGiB: number,
): MachineConfiguration => {
  const ascending = configurations.toSorted((a, b) => a.memoryGiB - b.memoryGiB);
  const below = ascending.filter((each) => each.memoryGiB <= memoryGiB + 0.5).at(-1);
  const [smallest] = ascending;
  if (!smallest) throw new Error('a machine has at least one configuration');
  return below ?? smallest;
};

/** macOS says "Apple M3 Ultra". */
const withoutMaker = (chip: string): string => chip.replace(/^Apple /, '');

const variants = (catalogue: Catalogue, chip: string): ChipFacts[] =>
  catalogue.chips.filter((each) => each.chip === chip);

/** Said only where it may be wrong: the chip has larger variants. */
const assumptionOf = (catalogue: Catalogue, { chip, gpuCores }: ChipFacts) => {
  const larger = variants(catalogue, chip).filter((each) => each.gpuCores > gpuCores);
  return larger.length === 0
    ? {}
    : {
        assumption: `${chip} with ${gpuCores} GPU cores: of the variants sold with this memory the smallest`,
      };
};
