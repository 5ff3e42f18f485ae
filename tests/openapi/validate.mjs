// Validates OpenAPI documents: their structure, references and examples. usage: node validate.mjs FOLDER FILE...
// FOLDER: where package.json is installed. Exit codes: 0 all are valid; 1 findings, each with file, line and column.
// scripts/check-openapi runs it.
import { createRequire } from 'node:module';
import path from 'node:path';

const [folder, ...files] = process.argv.slice(2);
const { createConfig, getLineColLocation, lint } = createRequire(path.resolve(folder, 'package.json'))('@redocly/openapi-core');

const config = await createConfig({
  rules: Object.fromEntries([
    'struct',
    'no-unresolved-refs',
    'no-ambiguous-paths',
    'no-enum-type-mismatch',
    'no-http-verbs-in-paths',
    'no-identical-paths',
    'no-invalid-media-type-examples',
    'no-invalid-parameter-examples',
    'no-invalid-schema-examples',
    'no-path-trailing-slash',
    'no-required-schema-properties-undefined',
    'no-schema-type-mismatch',
    'no-undefined-server-variable',
    'operation-2xx-response',
    'operation-operationId',
    'operation-operationId-unique',
    'operation-operationId-url-safe',
    'operation-parameters-unique',
    'operation-singular-tag',
    'operation-summary',
    'operation-tag-defined',
    'parameter-description',
    'path-declaration-must-exist',
    'path-not-include-query',
    'path-parameters-defined',
    'paths-kebab-case',
    'security-defined',
    'spec-components-invalid-map-name',
    'tag-description',
  ].map((name) => [name, 'error'])),
});

const findings = new Set();  // a finding in a shared file comes once for each document that uses it
for (const file of files) {
  for (const problem of await lint({ ref: path.resolve(file), config })) {
    const at = getLineColLocation(problem.location[0]);
    findings.add(`${path.relative('', at.source.absoluteRef)}:${at.start.line}:${at.start.col}: ${problem.message} (${problem.ruleId})`);
  }
}
for (const finding of findings) console.log(finding);
console.log(`${files.length} documents, ${findings.size} findings`);
process.exit(findings.size === 0 ? 0 : 1);
