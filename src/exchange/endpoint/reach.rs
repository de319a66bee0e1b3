//! Where the requests of an integration go: places that are known from the start, or have to be looked
//! up first.

use std::sync::Arc;

use super::{Budget, Endpoint, SILENT};
use crate::base::{Clock, ErrorCode};
use crate::exchange::discovery::{Discovery, Which};
use crate::exchange::fixed::failure;
use crate::exchange::request::Filled;
use crate::exchange::way::{Aim, Way, Ways};
use crate::exchange::{Outcome, Present, SourceError};
use crate::net::Identity;
use crate::secrets;
use crate::spec::{self, FirstRefreshToken, Grant, Integration, SecretSource};

pub(super) enum Reach {
    /// Each endpoint is written out, and the client presents no certificate.
    Known {
        way: Way,
        /// Where refresh tokens are presented, and where a device flow begins, if that is elsewhere.
        elsewhere: Option<Box<[Option<Way>; 2]>>,
    },
    /// Something has to be found or read before it is known how to get there.
    Open(Box<Open>),
}

pub(super) struct Open {
    ways: Arc<Ways>,
    discovery: Option<Arc<Discovery>>,
    /// What the client presents while connecting: certificate and key.
    certificate: Option<[secrets::Handle; 2]>,
}

/// What was looked up for one exchange.
pub(super) struct Found {
    /// `None` for steps, each of which goes its own way.
    pub(super) place: Option<(spec::Endpoint, Way)>,
    pub(super) identity: Option<Identity>,
}

impl Reach {
    pub(super) fn of(
        integration: &Arc<Integration>,
        ways: &Arc<Ways>,
        open: impl Fn(&SecretSource) -> secrets::Handle,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, SourceError> {
        let grant = &integration.grant;
        let certificate = grant.client_certificate();
        let issuer = issuer(grant);
        if let (Some(request), None, None) = (grant.request(), certificate, issuer) {
            let way = |endpoint: &spec::Endpoint| ways.to(endpoint, integration, None);
            let elsewhere = elsewhere(grant).map(|one| one.map(way).transpose());
            let [refresh, device] = elsewhere;
            let elsewhere = [refresh?, device?];
            let anywhere = elsewhere.iter().any(Option::is_some);
            return Ok(Self::Known {
                way: way(request.endpoint.nearest())?,
                elsewhere: anywhere.then(|| Box::new(elsewhere)),
            });
        }
        let discovery = issuer.map(|issuer| ways.discovery(issuer, integration, clock));
        Ok(Self::Open(Box::new(Open {
            ways: Arc::clone(ways),
            discovery: discovery.transpose()?,
            certificate: certificate.map(|it| [open(&it.certificate), open(&it.key)]),
        })))
    }
}

/// Who knows the endpoints that are not written out.
fn issuer(grant: &Grant) -> Option<&Arc<spec::Issuer>> {
    let first = grant
        .refreshing()
        .and_then(|refreshing| match &refreshing.first {
            FirstRefreshToken::AuthorizationCode {
                authorization_endpoint: location,
                ..
            }
            | FirstRefreshToken::DeviceCode {
                device_authorization_endpoint: location,
            } => location.issuer(),
            FirstRefreshToken::Configured(_) => None,
        });
    grant.request()?.endpoint.issuer().or(first)
}

/// Written out: where refresh tokens are presented, and where a device flow begins.
fn elsewhere(grant: &Grant) -> [Option<&spec::Endpoint>; 2] {
    let Some(refreshing) = grant.refreshing() else {
        return [None, None];
    };
    let device = match &refreshing.first {
        FirstRefreshToken::DeviceCode {
            device_authorization_endpoint,
        } => device_authorization_endpoint.known(),
        FirstRefreshToken::AuthorizationCode { .. } | FirstRefreshToken::Configured(_) => None,
    };
    [refreshing.refresh_endpoint.as_ref(), device]
}

impl Endpoint {
    /// What has to be known before a request that presents this can be made; `None` where all is.
    pub(super) async fn look_up(
        &self,
        filled: &mut Filled,
        budget: &mut Budget<'_>,
    ) -> Result<Option<Box<Found>>, Box<Outcome>> {
        let [refresh, _] = elsewhere(&self.integration.grant);
        let known = match filled.present {
            Present::RefreshToken(_) => refresh,
            Present::Nothing | Present::Code { .. } | Present::DeviceCode(_) => None,
        };
        match &self.reach {
            Reach::Known { .. } => Ok(None),
            Reach::Open(open) => {
                let found = self.look_up_place(open, Which::Token, known, filled, budget);
                Ok(Some(Box::pin(found).await?))
            }
        }
    }

    /// The same for where a device flow begins.
    pub(super) async fn look_up_device(
        &self,
        filled: &mut Filled,
        budget: &mut Budget<'_>,
    ) -> Result<Option<Box<Found>>, Box<Outcome>> {
        let [_, device] = elsewhere(&self.integration.grant);
        match &self.reach {
            Reach::Known { .. } => Ok(None),
            Reach::Open(open) => {
                let which = Which::DeviceAuthorization;
                let found = self.look_up_place(open, which, device, filled, budget);
                Ok(Some(Box::pin(found).await?))
            }
        }
    }

    async fn look_up_place(
        &self,
        open: &Open,
        which: Which,
        known: Option<&spec::Endpoint>,
        filled: &mut Filled,
        budget: &mut Budget<'_>,
    ) -> Result<Box<Found>, Box<Outcome>> {
        let read = budget.spend(self.read_identity(open, filled)).await;
        let identity = read.unwrap_or_else(|| Err(self.refused_for(SILENT)))?;
        let Some(request) = self.integration.grant.request() else {
            let place = None;
            return Ok(Box::new(Found { place, identity }));
        };
        let written = request.endpoint.known().filter(|_| which == Which::Token);
        let endpoint = if let Some(endpoint) = known.or(written) {
            endpoint.clone()
        } else {
            let certificate = identity.is_some();
            // It has a limit of its own: what is left is for the request.
            self.find(open, which, certificate).await?
        };
        let way = self.way(open, &endpoint, identity.as_ref())?;
        let place = Some((endpoint, way));
        Ok(Box::new(Found { place, identity }))
    }

    /// How a step's request gets there.
    pub(super) fn way_of_step(
        &self,
        endpoint: &spec::Endpoint,
        found: Option<&Found>,
    ) -> Result<Way, Box<Outcome>> {
        let identity = found.and_then(|found| found.identity.as_ref());
        match &self.reach {
            Reach::Open(open) => self.way(open, endpoint, identity),
            Reach::Known { way, .. } => Ok(way.clone()),
        }
    }

    fn way(
        &self,
        open: &Open,
        endpoint: &spec::Endpoint,
        identity: Option<&Identity>,
    ) -> Result<Way, Box<Outcome>> {
        let way = open.ways.to(endpoint, &self.integration, identity);
        way.map_err(|error| self.refused_for(&error.to_string()))
    }

    async fn find(
        &self,
        open: &Open,
        which: Which,
        certificate: bool,
    ) -> Result<spec::Endpoint, Box<Outcome>> {
        match &open.discovery {
            Some(discovery) => discovery.find(which, certificate).await,
            None => Err(self.refused_for("there is nobody to ask")),
        }
    }

    /// An endpoint of the issuer, for whoever is sent there.
    pub(super) async fn discover(&self, which: Which) -> Result<spec::Endpoint, Box<Outcome>> {
        let Reach::Open(open) = &self.reach else {
            return Err(self.refused_for("there is nobody to ask"));
        };
        self.find(open, which, false).await
    }

    /// What an issuer said may be wrong.
    pub(super) fn suspect(&self) {
        if let Reach::Open(open) = &self.reach
            && let Some(discovery) = &open.discovery
        {
            discovery.suspect();
        }
    }

    async fn read_identity(
        &self,
        open: &Open,
        filled: &mut Filled,
    ) -> Result<Option<Identity>, Box<Outcome>> {
        let Some([certificate, key]) = &open.certificate else {
            return Ok(None);
        };
        let mut read = Vec::with_capacity(2);
        for handle in [certificate, key] {
            match handle.read_for(&self.changes).await {
                Ok(secret) => read.push(secret),
                Err(error) => return Err(self.refused_for(&error.to_string())),
            }
        }
        let [certificate, key] = <[_; 2]>::try_from(read).or(Err(self.refused_for(SILENT)))?;
        filled.aside.push(key.clone());
        match Identity::new(certificate, key) {
            Ok(identity) => Ok(Some(identity)),
            Err(error) => {
                let what = error.subject();
                let description = format!("no request was sent: the {what} {error}");
                let now = self.clock.now();
                let mut failure = failure(ErrorCode::RequestRejected, description, now);
                failure.hint = Some(
                    "correct client_certificate and client_key, which belong together; \
                     'token-broker check' looks at both"
                        .to_owned(),
                );
                Err(Box::new(Outcome::BadRequest(failure)))
            }
        }
    }

    /// Where a request goes that presents this.
    pub(super) fn aim<'a>(
        &'a self,
        present: &Present,
        found: Option<&'a Found>,
    ) -> Option<Aim<'a>> {
        if let Some((endpoint, way)) = found.and_then(|found| found.place.as_ref()) {
            return Some(Aim { endpoint, way });
        }
        let Reach::Known { way, elsewhere } = &self.reach else {
            return None;
        };
        let grant = &self.integration.grant;
        let [refresh, _] = self::elsewhere(grant);
        let other = elsewhere.as_ref().and_then(|ways| ways.first()?.as_ref());
        match (present, refresh, other) {
            (Present::RefreshToken(_), Some(endpoint), Some(way)) => Some(Aim { endpoint, way }),
            _ => Some(Aim {
                endpoint: grant.request()?.endpoint.known()?,
                way,
            }),
        }
    }

    pub(super) fn aim_of_device<'a>(&'a self, found: Option<&'a Found>) -> Option<Aim<'a>> {
        if let Some((endpoint, way)) = found.and_then(|found| found.place.as_ref()) {
            return Some(Aim { endpoint, way });
        }
        let Reach::Known { elsewhere, .. } = &self.reach else {
            return None;
        };
        let [_, device] = self::elsewhere(&self.integration.grant);
        let way = elsewhere.as_ref().and_then(|ways| ways.last()?.as_ref())?;
        Some(Aim {
            endpoint: device?,
            way,
        })
    }
}
