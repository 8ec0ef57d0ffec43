/** Why a text is not JSON or YAML, and where. The message holds nothing of the text, which may hold a secret. */
export interface TextFlaw {
  readonly message: string;
  /** Both count from 1. */
  readonly line: number;
  readonly column: number;
}

export type ParsedText =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly flaw: TextFlaw };

/** Deeper than any spec; what is nested deeper is meant to exhaust whoever reads it. */
export const DEEPEST = 32;

export function flawAt(text: string, offset: number, message: string): ParsedText {
  const before = text.slice(0, offset);
  const lineStart = Math.max(before.lastIndexOf('\n'), before.lastIndexOf('\r')) + 1;
  const line = before.split(/\r\n|\n|\r/).length;
  return { ok: false, flaw: { message, line, column: offset - lineStart + 1 } };
}
