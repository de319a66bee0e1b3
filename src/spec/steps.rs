//! Any way to a token: one request, or several that use what came before.

use super::api::HostPattern;
use super::assertion::Assertion;
use super::phrase::{Draft, Part, Phrase};
use super::request::{ClientCertificate, Method};
use super::response::{Path, Scalar};
use super::secret::SecretCandidate;
use super::url::Endpoint;

/// The grants `request` and `steps`.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    pub kind: StepsKind,
    /// What failures and requests are counted by, and what `{client_id}` stands for.
    pub client_id: Option<String>,
    /// What `{client_secret}` stands for, in the order to try.
    pub client_secret: Vec<SecretCandidate>,
    /// Not empty; the last one is a request, whose answer holds the token.
    pub steps: Vec<Step>,
    pub certificate: Option<ClientCertificate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepsKind {
    Request,
    Steps,
}

/// One step; what it brings is there for those that follow.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Request(Call),
    /// Brings `assertion`.
    Assertion {
        assertion: Assertion,
        /// Where its key is configured, below the integration.
        key_at: String,
    },
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub method: Method,
    pub url: CallUrl,
    /// Valid lower-case names, never one that the request itself needs.
    pub headers: Vec<(String, Phrase)>,
    pub query: Vec<(String, Phrase)>,
    pub body: Body,
    /// Members that must hold besides a 2xx status; of the last step, the answer's shape says more.
    pub success: Vec<(Path, Scalar)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CallUrl {
    Known(Endpoint),
    /// With what earlier steps brought.
    Made {
        url: Phrase,
        host: MadeHost,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum MadeHost {
    /// Only what follows the host is made: the URL begins with this one.
    Fixed(Endpoint),
    /// The host that comes of it must be one of these.
    AnyOf(Vec<HostPattern>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    None,
    Form(Vec<(String, Phrase)>),
    Json(Vec<(Phrase, Draft)>),
}

impl Steps {
    /// Where the first request goes: no answer comes before it, so its host is known.
    pub fn first(&self) -> Option<&Endpoint> {
        match &self.calls().next()?.url {
            CallUrl::Known(endpoint)
            | CallUrl::Made {
                host: MadeHost::Fixed(endpoint),
                ..
            } => Some(endpoint),
            CallUrl::Made {
                host: MadeHost::AnyOf(_),
                ..
            } => None,
        }
    }

    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.steps.iter().filter_map(|step| match step {
            Step::Request(call) => Some(call),
            Step::Assertion { .. } => None,
        })
    }

    /// There is one at the most, whose keys are tried one after the other.
    pub fn assertion(&self) -> Option<&Assertion> {
        self.steps.iter().find_map(|step| match step {
            Step::Request(_) => None,
            Step::Assertion { assertion, .. } => Some(assertion),
        })
    }

    /// Every part of what is sent.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Part)) {
        for step in &self.steps {
            step.walk(visit);
        }
    }

    /// What later steps take of the answer of `step`, each once.
    pub fn wanted_of(&self, step: usize) -> Vec<Path> {
        let mut wanted = Vec::new();
        self.walk(&mut |part| {
            if let Part::Answer { step: of, path } = part
                && *of == step
                && !wanted.contains(path)
            {
                wanted.push(path.clone());
            }
        });
        wanted
    }
}

impl Step {
    fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Part)) {
        match self {
            Self::Request(call) => call.walk(visit),
            Self::Assertion { assertion, .. } => assertion.walk(visit),
        }
    }
}

impl Call {
    fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Part)) {
        if let CallUrl::Made { url, .. } = &self.url {
            url.walk(visit);
        }
        for (_, phrase) in self.headers.iter().chain(&self.query) {
            phrase.walk(visit);
        }
        match &self.body {
            Body::None => {}
            Body::Form(pairs) => {
                for (_, phrase) in pairs {
                    phrase.walk(visit);
                }
            }
            Body::Json(members) => {
                for (name, value) in members {
                    name.walk(visit);
                    value.walk(visit);
                }
            }
        }
    }
}
