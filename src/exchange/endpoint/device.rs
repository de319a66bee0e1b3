//! How a device flow begins: one request to the device authorization endpoint.

use super::reach::Found;
use super::sending::Shot;
use super::{Budget, Endpoint, SILENT};
use crate::base::{ErrorCode, Failure};
use crate::exchange::candidates::Pair;
use crate::exchange::fixed::{failure, no_login};
use crate::exchange::members::Tokens;
use crate::exchange::presented::Presented;
use crate::exchange::request::{self, Filled};
use crate::exchange::verdict::{self, Place};
use crate::exchange::way::Aim;
use crate::exchange::{DeviceAuthorization, Outcome, device};
use crate::spec::{FirstRefreshToken, TokenRequest};

impl Endpoint {
    /// With the client secret that worked last; if the vendor refuses it, with the others.
    pub(super) async fn begin_device_flow(&self) -> Result<DeviceAuthorization, Box<Outcome>> {
        let grant = &self.integration.grant;
        let first = grant.refreshing().map(|refreshing| &refreshing.first);
        let (Some(FirstRefreshToken::DeviceCode { .. }), Some(request)) = (first, grant.request())
        else {
            return Err(Box::new(no_login(self.clock.now())));
        };
        let mut budget = self.budget();
        let mut filled = Filled::default();
        let read = budget.spend(self.read_inputs(&mut filled)).await;
        read.unwrap_or_else(|| Err(self.refused_for(SILENT)))?;
        let found = self.look_up_device(&mut filled, &mut budget).await?;
        let found = found.as_deref();
        let mut refusal: Option<Failure> = None;
        let mut unreadable: Option<String> = None;
        let mut sent = 0_usize;
        for pair in self.pairs() {
            if refusal.is_some() && budget.left.is_zero() {
                break;
            }
            let ready = match self.read_pair(pair, &mut budget).await {
                Ok((credential, _key)) => {
                    filled.credential = credential;
                    let Some(aim) = self.aim_of_device(found) else {
                        return Err(Box::new(no_login(self.clock.now())));
                    };
                    self.name_client(request, aim, &mut filled, &mut budget)
                        .await
                }
                Err(why) => Err(why),
            };
            if let Err(why) = ready {
                unreadable.get_or_insert(why);
                continue;
            }
            sent += 1;
            let asked = self.ask_for_a_device_code(request, found, &filled, &mut budget);
            match asked.await {
                Err(outcome) if matches!(*outcome, Outcome::BadCredential(_)) => {
                    self.refused(pair);
                    refusal = refusal.or_else(|| outcome.failure().cloned());
                }
                other => {
                    self.remember(other.is_ok(), pair);
                    return other;
                }
            }
        }
        self.memory().refused.clear();
        Err(Box::new(match (refusal, unreadable) {
            (Some(failure), _) => self.all_refused(failure, sent),
            (None, Some(why)) => self.unavailable(&why),
            (None, None) => self.unavailable("there is no client secret to try"),
        }))
    }

    fn remember(&self, worked: bool, pair: Pair) {
        let mut memory = self.memory();
        memory.refused.clear();
        if worked {
            memory.worked = (pair.0.unwrap_or_default(), pair.1.unwrap_or_default());
        }
    }

    async fn ask_for_a_device_code(
        &self,
        request: &TokenRequest,
        found: Option<&Found>,
        filled: &Filled,
        budget: &mut Budget<'_>,
    ) -> Result<DeviceAuthorization, Box<Outcome>> {
        let Some(aim) = self.aim_of_device(found) else {
            return Err(Box::new(no_login(self.clock.now())));
        };
        let Aim { endpoint, way } = aim;
        let now = self.clock.now().wall;
        let built = request::build_device_authorization(request, endpoint, filled, now);
        let mut built = built.map_err(|error| self.refused_for(&error.to_string()))?;
        let shot = Shot {
            aim,
            place: Place::default(),
            presented: Presented::Nothing,
            held: self.held(filled, std::mem::take(&mut built.derived)),
            hidden: Tokens::default(),
            secret_in_use: None,
            prolongs: None,
        };
        let permit = way.gate.acquire().await.ok();
        let back = Box::pin(self.send(built, &shot, None, budget)).await;
        drop(permit);
        let now = self.clock.now();
        let host = &way.host;
        let unusable = |why: &str| {
            let description = format!("{host} began no device flow: {why}");
            let failure = failure(ErrorCode::TemporarilyUnavailable, description, now);
            Box::new(Outcome::Transient {
                retry_after: None,
                failure,
            })
        };
        self.judge(&back, &shot, |answer, context| {
            let error = answer.error(&context.shape.error);
            if answer.is_success() && error.is_none() {
                let read = answer.json.as_ref().map(device::read);
                return match read {
                    Some(Ok(authorization)) => Ok(authorization),
                    Some(Err(why)) => Err(unusable(&format!("the answer was good, but {why}"))),
                    None => Err(unusable("the answer was good, but the answer is not JSON")),
                };
            }
            match verdict::judge(answer, context, &[]) {
                Ok(_) => Err(unusable("the answer says both yes and no")),
                Err(refused) => Err(refused),
            }
        })
    }
}
