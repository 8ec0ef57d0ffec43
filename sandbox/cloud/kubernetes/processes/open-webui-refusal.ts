/** What Open WebUI says when it refuses (backend/open_webui/constants.py, ERROR_MESSAGES). */
export const MESSAGES = {
  default: 'Something went wrong :/',
  oauth: '[ERROR: Error during OAuth process]',
  invalidCredentials:
    'The email or password provided is incorrect. Please check for typos and try logging in again.',
  emailTaken:
    'Uh-oh! This email is already registered. Sign in with your existing account or choose another email to start anew.',
  unauthorized: '401 Unauthorized',
  invalidToken: 'Your session has expired or the token is invalid. Please sign in again.',
  accessProhibited:
    'You do not have permission to access this resource. Please contact your administrator for assistance.',
  notAuthenticated: 'Not authenticated',
  modelNotFound: 'Model not found',
  ollamaUnreachable: 'Open WebUI: Server Connection Error',
} as const;

/** FastAPI's HTTPException. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.name = 'Refusal';
    this.status = status;
  }

  answer(): Response {
    return Response.json({ detail: this.message }, { status: this.status });
  }
}
