/** Ends this process when the one that started it is gone, however it went: the sandbox leaves no process behind. */
export function endWithParent(parent: number, end: () => void): void {
  const timer = setInterval(() => {
    try {
      process.kill(parent, 0);
    } catch {
      clearInterval(timer);
      end();
    }
  }, 500);
  timer.unref();
}
