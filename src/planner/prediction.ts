/** How one group of a deployment is expected to perform. All for one request at a time unless said otherwise. */
export interface Prediction {
  /** Tokens of the prompt and of the answer that these figures are for. */
  promptTokens: number;
  generatedTokens: number;
  decodeTokensPerSecond: number;
  /** Eight in ten of the published measurements lie within, for what is as well known as this. */
  decodeTokensPerSecondLow: number;
  decodeTokensPerSecondHigh: number;
  /** Of the whole group with maxConcurrentRequests in flight. */
  aggregateTokensPerSecond: number;
  prefillTokensPerSecond: number;
  timeToFirstTokenMilliseconds: number;
  /** What the first token after a pause of some seconds comes later, unless the model is kept warm. Absent: nothing. */
  wiringMilliseconds?: number;
  /** One all-reduce of one token's activations; 0 where nothing is exchanged. */
  allReduceMicroseconds: number;
  /**
   * What each decoded token takes longer where ranks are started without the engine's variable for spinning
   * (plan.environment). Absent where there is none, or nothing is summed.
   */
  synchronizationMilliseconds?: number;
  /** Of the time of a decoded token: 0 to 1. */
  interconnectShare: number;
  /** Of all nodes of the group while decoding, at the wall. */
  powerWatts: number;
  joulesPerToken: number;
  /** Electricity, and the machines over their depreciation, at full batches. Absent where no price is known. */
  usdPerMillionTokens?: number;
  /** What measurements of this fleet multiplied the decode speeds with; absent where there were none. */
  correction?: number;
  /** Milliseconds of one decoded token. */
  breakdown: {
    weightsMs: number;
    cacheMs: number;
    layersMs: number;
    exchangeMs: number;
  };
}
