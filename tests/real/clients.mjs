// An OAuth server for tests, for the ways in which clients name themselves: a secret, a JWT signed with
// a key or a secret, a certificate. Issues tokens for client_credentials. The argument is JSON: `secret`,
// `keys` (algorithm to file with a public key), and with `tls` (`certificate`, `key`, `authority`, all of
// them files) it speaks TLS and asks for certificates. Prints the port it listens on.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { exportJWK, importSPKI } from 'jose';
import Provider from 'oidc-provider';

// Its notices would break a pipe that nobody reads after the port.
console.info = console.error;
console.warn = console.error;

const { secret, keys = {}, tls } = JSON.parse(process.argv[2]);
const server = tls
  ? https.createServer({
      cert: readFileSync(tls.certificate),
      key: readFileSync(tls.key),
      ca: readFileSync(tls.authority),
      requestCert: true,
      rejectUnauthorized: false,
    })
  : http.createServer();

const client = (name, method, more) => ({
  client_id: name,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  token_endpoint_auth_method: method,
  scope: 'api:read',
  ...more,
});

const jwk = async (algorithm, file) =>
  exportJWK(await importSPKI(readFileSync(file, 'utf8'), algorithm, { extractable: true }));

const signing = Object.entries(keys).map(async ([algorithm, file]) =>
  client(algorithm, 'private_key_jwt', {
    token_endpoint_auth_signing_alg: algorithm,
    jwks: { keys: [{ ...(await jwk(algorithm, file)), kid: `key-${algorithm}`, use: 'sig' }] },
  }),
);

server.listen(0, '127.0.0.1', async () => {
  const { port } = server.address();
  const provider = new Provider(`${tls ? 'https' : 'http'}://127.0.0.1:${port}`, {
    clients: [
      client('basic', 'client_secret_basic', { client_secret: secret }),
      client('post', 'client_secret_post', { client_secret: secret }),
      client('secret', 'client_secret_jwt', { client_secret: secret }),
      client('certificate', 'tls_client_auth', { tls_client_auth_san_dns: 'client.example' }),
      ...(await Promise.all(signing)),
    ],
    clientAuthMethods: [
      'client_secret_basic',
      'client_secret_post',
      'client_secret_jwt',
      'private_key_jwt',
      'tls_client_auth',
    ],
    enabledJWA: {
      clientAuthSigningAlgValues: ['HS256', 'HS384', 'HS512', ...Object.keys(keys)],
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_san_dns' &&
          ctx.socket.getPeerCertificate().subjectaltname === `DNS:${expected}`,
      },
    },
    scopes: ['api:read'],
    ttl: { ClientCredentials: 600 },
  });
  server.on('request', provider.callback());
  console.log(port);
});
