// Bundles src into the one file that is published, and that the page loads as it is.
//
//   node build.js

import { writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

/** The text of dist/posthorn-client.js, as of the sources now. */
export async function bundle(more = {}) {
  const { outputFiles } = await build({
    entryPoints: [`${import.meta.dirname}/src/index.ts`],
    absWorkingDir: import.meta.dirname,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    charset: 'utf8',
    banner: { js: '// Made from client/src by `npm run build`. Apache-2.0.' },
    write: false,
    ...more,
  });
  return outputFiles[0].text;
}

if (process.argv[1] === import.meta.filename) {
  await writeFile(`${import.meta.dirname}/dist/posthorn-client.js`, await bundle());
}
