/** A refusal, in the server's words where it said some. */
export class PosthornError extends Error {
  override readonly name = 'PosthornError';
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** The server's code, as `bad_filter`; `superseded` for a subscription that a later one replaced. */
  readonly code: string;

  constructor(code: string, message: string, status?: number) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** The error of an answer, with the server's own code and message if it has them. */
export async function refusal(response: { status: number; json(): Promise<any> }): Promise<PosthornError> {
  // What is no JSON comes from something between us and the server.
  const body = await response.json().catch(() => null);
  const { code = 'http', message = `answered with ${response.status}` } = body?.error ?? {};
  return new PosthornError(code, message, response.status);
}
