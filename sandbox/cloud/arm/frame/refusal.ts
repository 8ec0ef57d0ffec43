/** ARM's error envelope, as an exception: `{error: {code, message, details?}}` with a status and sometimes headers. */

export interface ErrorDetail {
  readonly code: string;
  readonly message: string;
  readonly target?: string;
}

export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: readonly ErrorDetail[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    more: { details?: readonly ErrorDetail[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = more.details ?? [];
    this.headers = more.headers ?? {};
  }

  toResponse(): Response {
    const details = this.details.length > 0 ? { details: this.details } : {};
    return Response.json(
      { error: { code: this.code, message: this.message, ...details } },
      {
        status: this.status,
        headers: {
          ...this.headers,
          // ARM repeats the code in a header when a provider refuses; the SDKs log it.
          'x-ms-error-code': this.code,
        },
      },
    );
  }
}
