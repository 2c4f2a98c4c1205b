/** A refusal, in the server's words where it said some. */
export declare class PosthornError extends Error {
    readonly name = "PosthornError";
    /** The HTTP status, where there was an answer. */
    readonly status: number | undefined;
    /** The server's code, as `bad_filter`; `superseded` for a subscription that a later one replaced. */
    readonly code: string;
    constructor(code: string, message: string, status?: number);
}
/** The error of an answer, with the server's own code and message if it has them. */
export declare function refusal(response: {
    status: number;
    json(): Promise<any>;
}): Promise<PosthornError>;
