// Verifies a JWT with jose, which shares no code with the broker: arguments are the algorithm, a file
// with the public key (or, for HMAC, the secret) and the JWT. Prints header and claims as JSON.
import { readFileSync } from 'node:fs';
import { importSPKI, jwtVerify } from 'jose';

const [algorithm, key, jwt, now] = process.argv.slice(2);
const known = algorithm.startsWith('HS')
  ? new TextEncoder().encode(key)
  : await importSPKI(readFileSync(key, 'utf8'), algorithm);
const options = { algorithms: [algorithm], currentDate: new Date(Number(now) * 1000) };
const { payload, protectedHeader } = await jwtVerify(jwt, known, options);
console.log(JSON.stringify([protectedHeader, payload]));
