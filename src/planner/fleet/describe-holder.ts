/** What a message names a deployment with: its priority too, where it has one. */
export const describeHolder = (name: string, priority: number): string =>
  priority === 0 ? name : `${name} (priority ${priority})`;
