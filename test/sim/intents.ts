import type {
  ModelDeployment,
  ModelDeploymentSpec,
  ObjectMeta,
} from '../../src/resources/types.ts';

/** What users asked for, kept outside of the server: nothing that happens there changes it. */
export class Intents {
  readonly #asked = new Map<string, { spec: ModelDeploymentSpec; atMs: number }[]>();
  readonly #wanted = new Map<string, ModelDeploymentSpec>();
  readonly #generations = new Map<string, ModelDeploymentSpec>();

  /** `metadata` is that of the object as the server answered. */
  asked(name: string, spec: ModelDeploymentSpec, metadata: ObjectMeta, atMs: number): void {
    const kept = structuredClone(spec);
    this.#asked.set(name, [...(this.#asked.get(name) ?? []), { spec: kept, atMs }]);
    this.#generations.set(`${metadata.uid}/${metadata.generation}`, kept);
    // What is applied to an object that is being deleted goes with it.
    if (metadata.deletionTimestamp === undefined) this.#wanted.set(name, kept);
  }

  deleted(name: string): void {
    this.#wanted.delete(name);
  }

  /** The last word on this name; undefined: it is not to exist. */
  wanted(name: string): ModelDeploymentSpec | undefined {
    return this.#wanted.get(name);
  }

  before(name: string): ModelDeploymentSpec | undefined {
    return this.#asked.get(name)?.at(-2)?.spec;
  }

  /** What was asked for at this time and later, also of objects that are gone. */
  since(name: string, atMs: number): ModelDeploymentSpec[] {
    const asked = this.#asked.get(name) ?? [];
    const first = asked.findLastIndex((each) => each.atMs <= atMs);
    return asked.slice(Math.max(0, first)).map(({ spec }) => spec);
  }

  /** What the object asked for in these generations, of those that users made. */
  between({ uid }: Pick<ModelDeployment['metadata'], 'uid'>, first: number, last: number) {
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, nth) => first + nth).flatMap(
      (generation) => this.#generations.get(`${uid}/${generation}`) ?? [],
    );
  }
}
