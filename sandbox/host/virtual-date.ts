/**
 * Gives the app a `Date` that reads the sandbox's clock. Only the reading of the present changes: `new Date()`,
 * `Date.now()` and `Date()`. Timers of the event loop stay real.
 */

/** Replaces the global `Date` from now on; returns what puts the real one back. */
export function useVirtualDate(now: () => number): () => void {
  const RealDate = globalThis.Date;
  const VirtualDate: DateConstructor = new Proxy(RealDate, {
    construct: (target, values, newTarget): object =>
      Reflect.construct(
        target,
        values.length > 0 ? values : [now()],
        newTarget === VirtualDate ? target : newTarget,
      ),
    apply: () => new RealDate(now()).toString(),
    get: (target, property, receiver) => (property === 'now' ? now : Reflect.get(target, property, receiver)),
  });
  globalThis.Date = VirtualDate;
  return () => {
    globalThis.Date = RealDate;
  };
}
