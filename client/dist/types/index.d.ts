export { connect } from './client.js';
export { PosthornError } from './error.js';
export type * from './types.js';
