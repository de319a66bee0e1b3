//! How a device flow begins: one request to the device authorization endpoint.

use super::elsewhere::Aim;
use super::{Budget, Endpoint, SILENT};
use crate::base::{ErrorCode, Failure};
use crate::exchange::answer::Answer;
use crate::exchange::fixed::{failure, no_device_flow};
use crate::exchange::request::{self, Filled};
use crate::exchange::{DeviceAuthorization, Outcome, device};
use crate::net;

impl Endpoint {
    /// With the client secret that worked last; if the vendor refuses it, with the others.
    pub(super) async fn begin_device_flow(&self) -> Result<DeviceAuthorization, Outcome> {
        let elsewhere = self.elsewhere.as_deref();
        let Some(place) = elsewhere.and_then(|elsewhere| elsewhere.device.as_ref()) else {
            return Err(no_device_flow(self.clock.now()));
        };
        let aim = place.aim();
        let mut budget = Budget {
            left: self.integration.refresh.timeout,
            clock: &*self.clock,
        };
        let inputs = budget.spend(self.read_inputs()).await;
        let Some(inputs) = inputs else {
            return Err(self.unavailable(SILENT));
        };
        let mut filled = inputs?;
        let mut refusal: Option<Failure> = None;
        let mut unreadable: Option<String> = None;
        let mut sent = 0_usize;
        for pair in self.pairs() {
            if refusal.is_some() && budget.left.is_zero() {
                break;
            }
            match self.read_pair(pair, &mut budget).await {
                Ok((secret, _key)) => filled.client_secret = secret,
                Err(why) => {
                    unreadable.get_or_insert(why);
                    continue;
                }
            }
            sent += 1;
            match self.ask_for_a_device_code(aim, &filled, &mut budget).await {
                Err(Outcome::BadCredential(failure)) => {
                    self.refused(pair);
                    refusal.get_or_insert(failure);
                }
                other => {
                    let mut memory = self.memory();
                    memory.refused.clear();
                    if other.is_ok() {
                        memory.worked = (pair.0.unwrap_or_default(), pair.1.unwrap_or_default());
                    }
                    return other;
                }
            }
        }
        self.memory().refused.clear();
        Err(match (refusal, unreadable) {
            (Some(failure), _) => self.all_refused(failure, sent),
            (None, Some(why)) => self.unavailable(&why),
            (None, None) => self.unavailable("there is no client secret to try"),
        })
    }

    async fn ask_for_a_device_code(
        &self,
        aim: Aim<'_>,
        filled: &Filled,
        budget: &mut Budget<'_>,
    ) -> Result<DeviceAuthorization, Outcome> {
        let id = &self.integration.id;
        let request = request::build_device_authorization(&self.request, aim.endpoint, filled)
            .map_err(|error| self.unavailable(&error.to_string()))?;
        let permit = aim.gate.acquire().await.ok();
        let sent_at = self.clock.now();
        tracing::debug!(
            integration.id = %id, endpoint = %aim.endpoint, "asking for a device code for {id}"
        );
        let sent = budget.spend(Box::pin(aim.client.send(request))).await;
        drop(permit);
        let now = self.clock.now();
        let answer = sent.unwrap_or_else(|| Err(net::Error::timeout()));
        let mut useless = None;
        if let Ok(response) = &answer {
            let read = Answer::read(response, &self.integration.response, sent_at);
            let error = read.error(&self.integration.response.error);
            if read.is_success() && error.is_none() {
                match read.json.as_ref().map(device::read) {
                    Some(Ok(authorization)) => return Ok(authorization),
                    Some(Err(why)) => useless = Some(why),
                    None => useless = Some("the answer is not JSON"),
                }
            }
        }
        let host = aim.host;
        let unusable = |why: &str| {
            let description = format!("{host} began no device flow: {why}");
            let failure = failure(ErrorCode::TemporarilyUnavailable, description, now);
            Outcome::Transient {
                retry_after: None,
                failure,
            }
        };
        if let Some(why) = useless {
            return Err(unusable(&format!("the answer was good, but {why}")));
        }
        Err(
            match self.judge(&answer, filled, host, sent_at, now, None) {
                Outcome::Issued(_) => unusable("the answer says both yes and no"),
                refused => refused,
            },
        )
    }
}
