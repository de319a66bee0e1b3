"""An OAuth server for tests: authorization code with PKCE and rotating refresh tokens, with a grace
period of as many seconds as the first argument says; client credentials for the client named `machine`,
and ada's password, which is "pass w&rd", for the one named `person`. In the browser everybody is logged
in. Prints the port it listens on."""

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings

grace, client_id, client_secret, redirect_uri = sys.argv[1:]

settings.configure(
    SECRET_KEY="nothing here is secret",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        __name__ + ".everybody_is_ada",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                ]
            },
        }
    ],
    OAUTH2_PROVIDER={
        "SCOPES": {"read": "Read everything"},
        "PKCE_REQUIRED": True,
        "ROTATE_REFRESH_TOKEN": True,
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": int(grace),
        "ACCESS_TOKEN_EXPIRE_SECONDS": 600,
    },
)
django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from oauth2_provider.models import Application

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]


def everybody_is_ada(get_response):
    def respond(request):
        request.user = User.objects.get(username="ada")
        return get_response(request)

    return respond


class Quiet(WSGIRequestHandler):
    def log_message(self, *_arguments):
        pass


call_command("migrate", verbosity=0)
ada = User.objects.create_user("ada", password="pass w&rd")
for name, grant in [
    (client_id, Application.GRANT_AUTHORIZATION_CODE),
    ("machine", Application.GRANT_CLIENT_CREDENTIALS),
    ("person", Application.GRANT_PASSWORD),
]:
    Application.objects.create(
        user=ada,
        name=name,
        client_id=name,
        client_secret=client_secret,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=grant,
        redirect_uris=redirect_uri,
    )
server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
