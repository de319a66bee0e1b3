// An OAuth server for tests: client_credentials with clients whose id and secret hold every
// character that encodings differ on. Prints the port it listens on.
import Provider from 'oidc-provider';

const [id, secret] = process.argv.slice(2);

const client = (suffix, method) => ({
  client_id: `${id}${suffix}`,
  client_secret: secret,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  token_endpoint_auth_method: method,
  scope: 'api:read',
});

const provider = new Provider('http://127.0.0.1', {
  clients: [client('-basic', 'client_secret_basic'), client('-post', 'client_secret_post')],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
  },
  scopes: ['api:read'],
  ttl: { ClientCredentials: 600 },
});

const server = provider.listen(0, '127.0.0.1', () => {
  console.log(server.address().port);
});
