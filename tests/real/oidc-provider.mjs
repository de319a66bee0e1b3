// An OAuth server for tests: clients whose id and secret hold every character that encodings differ
// on, for client_credentials, for authorization codes with rotating refresh tokens, and for the device
// flow. Its own login and consent pages take anybody. Prints the port it listens on.
import Provider from 'oidc-provider';

// Its notices would break a pipe that nobody reads after the port.
console.info = console.error;

const [id, secret, redirect] = process.argv.slice(2);
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';

const client = (suffix, method) => ({
  client_id: `${id}${suffix}`,
  client_secret: secret,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  token_endpoint_auth_method: method,
  scope: 'api:read',
});

const consented = redirect
  ? [
      {
        client_id: `${id}-code`,
        client_secret: secret,
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        redirect_uris: [redirect],
        token_endpoint_auth_method: 'client_secret_basic',
        scope: 'openid offline_access',
      },
      {
        client_id: `${id}-device`,
        application_type: 'native',
        grant_types: [DEVICE_CODE, 'refresh_token'],
        response_types: [],
        redirect_uris: [],
        token_endpoint_auth_method: 'none',
        scope: 'openid offline_access',
      },
    ]
  : [];

const provider = new Provider('http://127.0.0.1', {
  clients: [
    client('-basic', 'client_secret_basic'),
    client('-post', 'client_secret_post'),
    ...consented,
  ],
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: Boolean(redirect) },
    devInteractions: { enabled: Boolean(redirect) },
  },
  cookies: { keys: ['nothing here is secret'] },
  rotateRefreshToken: true,
  scopes: ['api:read', 'openid', 'offline_access'],
  ttl: { ClientCredentials: 600, AccessToken: 600 },
});

const server = provider.listen(0, '127.0.0.1', () => {
  console.log(server.address().port);
});
