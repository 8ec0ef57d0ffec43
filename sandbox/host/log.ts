/**
 * The host's console output: a line per message, with the function's name and the level. Nothing that goes into or
 * comes out of an invocation is ever logged, only what the app logs itself and the messages of errors.
 */
export type LogLevel = 'trace' | 'debug' | 'information' | 'warning' | 'error' | 'critical' | 'none';

const order: readonly LogLevel[] = ['trace', 'debug', 'information', 'warning', 'error', 'critical', 'none'];

export interface Log {
  /** `category` is `Host` or `Function.NAME`. */
  write(level: LogLevel, category: string, message: string): void;
}

/** Writes to stdout, warnings and worse to stderr. `levels`: minimum by category in lower case, and `default`. */
export function consoleLog(levels: Readonly<Record<string, string>>, now: () => number): Log {
  const minimum = (category: string): number => {
    const parts = category.toLowerCase().split('.');
    for (let length = parts.length; length > 0; length--) {
      const level = levels[parts.slice(0, length).join('.')];
      if (level) return order.indexOf(level as LogLevel);
    }
    return order.indexOf((levels['default'] ?? 'information') as LogLevel);
  };
  return {
    write(level, category, message) {
      const rank = order.indexOf(level);
      if (rank < minimum(category)) return;
      const line = `[${new Date(now()).toISOString()}] [${category}] ${level}: ${message}\n`;
      (rank >= order.indexOf('warning') ? process.stderr : process.stdout).write(line);
    },
  };
}
