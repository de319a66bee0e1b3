"""An OAuth server for tests, made with Authlib: client credentials by Basic, post and signed assertions,
a password, and JWTs of a service account. The argument is JSON: `client_id`, `client_secret`, `username`,
`password`, `public_key` (a file with a public key in PEM). Prints the port it listens on."""

import json
import os
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion, JWTBearerGrant
from flask import Flask

options = json.loads(sys.argv[1])
public_key = open(options["public_key"]).read()
audiences = []


class Client(ClientMixin):
    def __init__(self, client_id):
        self.client_id = client_id

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return scope or ""

    def check_client_secret(self, client_secret):
        return client_secret == options["client_secret"]

    def check_endpoint_auth_method(self, method, endpoint):
        return True

    def check_grant_type(self, grant_type):
        return True


def client_of(client_id):
    return Client(client_id) if client_id == options["client_id"] else None


class Password(grants.ResourceOwnerPasswordCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]

    def authenticate_user(self, username, password):
        if (username, password) == (options["username"], options["password"]):
            return username
        return None


class ByClient(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = [
        "client_secret_basic",
        "client_secret_post",
        JWTBearerClientAssertion.CLIENT_AUTH_METHOD,
    ]


class Assertion(JWTBearerClientAssertion):
    seen = set()

    def validate_jti(self, claims, jti):
        fresh = jti not in self.seen
        self.seen.add(jti)
        return fresh

    def resolve_client_public_key(self, client):
        return public_key

    def get_audiences(self):
        return audiences


class ByJwt(JWTBearerGrant):
    def resolve_issuer_client(self, issuer):
        return client_of(issuer)

    def resolve_client_public_key(self, client):
        return public_key

    def get_audiences(self):
        return audiences

    def authenticate_user(self, subject):
        return subject if subject == options["username"] else None

    def has_granted_permission(self, client, user):
        return True


app = Flask(__name__)
server = AuthorizationServer(app, query_client=client_of, save_token=lambda token, request: None)
server.register_grant(ByClient)
server.register_grant(Password)
server.register_grant(ByJwt)


@app.post("/token")
def token():
    return server.create_token_response()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_arguments):
        pass


listening = make_server("127.0.0.1", 0, app, handler_class=Quiet)
audiences.append(f"http://127.0.0.1:{listening.server_port}/token")
server.register_client_auth_method(Assertion.CLIENT_AUTH_METHOD, Assertion())
print(listening.server_port, flush=True)
listening.serve_forever()
