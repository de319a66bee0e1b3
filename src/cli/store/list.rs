//! `store list`.

use serde_json::{Value, json};

use super::{Configured, ListArgs, failed};
use crate::base::Timestamp;
use crate::cli::output::{Exit, Output};
use crate::cli::{Format, setup, table};
use crate::config::Env;
use crate::store::{
    Access, BoundTo, Chain, Key, Quota, Record, RecordError, StateStore, StoreError, Version, Wait,
    WaitKind,
};

/// An entry as far as it can be read.
struct Row {
    key: Key,
    version: Version,
    kept: Kept,
}

enum Kept {
    Record(Result<Box<Record>, RecordError>),
    Quota(Result<Quota, RecordError>),
    Damaged(StoreError),
}

pub(super) fn run(args: &ListArgs, env: &Env, output: &mut Output) -> Result<(), Exit> {
    let configured = args.config.load(env)?;
    let rows = setup::block_on(async {
        let store = configured.open(env).await?;
        rows(&*store).await
    })??;
    output.line(&match args.format {
        Format::Json => format!("{:#}", document(&configured, &rows)),
        Format::Text => text(&configured, &rows),
    })
}

async fn rows(store: &dyn StateStore) -> Result<Vec<Row>, Exit> {
    let listed = store.list().await.map_err(|error| failed(&error))?;
    let mut rows = Vec::with_capacity(listed.len());
    for one in listed {
        let kept = match store.load(&one.key).await {
            Ok(Some(entry)) => match &one.key {
                Key::Integration(_) => Kept::Record(Record::decode(&entry.value).map(Box::new)),
                Key::Quota(_) => Kept::Quota(Quota::decode(&entry.value)),
            },
            Ok(None) => continue,
            Err(error @ StoreError::Damaged { .. }) => Kept::Damaged(error),
            Err(error) => return Err(failed(&error)),
        };
        rows.push(Row {
            key: one.key,
            version: one.version,
            kept,
        });
    }
    Ok(rows)
}

fn text(configured: &Configured, rows: &[Row]) -> String {
    let path = configured.path.display();
    if rows.is_empty() {
        return format!("{path} holds nothing yet");
    }
    let headings = ["NAME", "HOLDS", "BOUND TO", "REFRESH TOKEN EXPIRES"];
    let mut cells = vec![headings.map(str::to_owned).to_vec()];
    for row in rows {
        let chain = match &row.kept {
            Kept::Record(Ok(record)) => record.chain.as_ref(),
            Kept::Record(Err(_)) | Kept::Quota(_) | Kept::Damaged(_) => None,
        };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        cells.push(vec![
            row.key.to_string(),
            row.kept.in_words(),
            or_dash(chain.map(|chain| whose(&chain.bound_to))),
            or_dash(chain.and_then(ends).map(Timestamp::to_rfc3339)),
        ]);
    }
    let sealed = match configured.key {
        Some(_) => "sealed",
        None => "not sealed: set encryption_key in [store], see token-broker store rekey --help",
    };
    format!("{path} ({sealed})\n{}", table::aligned(&cells))
}

impl Kept {
    fn in_words(&self) -> String {
        match self {
            Self::Record(Ok(record)) => words(record),
            Self::Quota(Ok(quota)) => {
                let Quota {
                    requests,
                    quiet_until,
                } = quota;
                match quiet_until {
                    Some(until) => format!("{} requests, quiet until {until}", requests.len()),
                    None => format!("{} requests", requests.len()),
                }
            }
            Self::Record(Err(error)) | Self::Quota(Err(error)) => error.to_string(),
            Self::Damaged(error) => error.to_string(),
        }
    }
}

/// What an entry holds, in words.
pub(super) fn holds(record: &Result<Record, RecordError>) -> String {
    match record {
        Ok(record) => words(record),
        Err(error) => format!("an entry that {error}"),
    }
}

fn words(record: &Record) -> String {
    let Record {
        chain,
        access,
        wait,
    } = record;
    let mut words = Vec::new();
    if let Some(chain) = chain {
        words.push("refresh token".to_owned());
        if let Some(since) = chain.intent {
            words.push(format!("interrupted exchange of {since}"));
        }
    }
    if access.is_some() {
        words.push("access token".to_owned());
    }
    if let Some(wait) = wait {
        words.push(format!("{} until {}", kind(wait.kind).1, wait.until));
    }
    if words.is_empty() {
        words.push("nothing".to_owned());
    }
    words.join(", ")
}

/// The word for programs and the one for people.
fn kind(kind: WaitKind) -> (&'static str, &'static str) {
    match kind {
        WaitKind::Trouble => ("trouble", "waits out trouble"),
        WaitKind::Refused => ("refused", "waits after a refusal"),
        WaitKind::DeadGrant => ("dead_grant", "refresh token refused, waits"),
    }
}

pub(super) fn whose(bound_to: &BoundTo) -> String {
    let BoundTo { client_id, at } = bound_to;
    if client_id.is_empty() {
        return format!("any client at {at}");
    }
    format!("client {client_id} at {at}")
}

/// When a refresh token ends, lying unused as it does.
fn ends(chain: &Chain) -> Option<Timestamp> {
    let used = chain.used_at.unwrap_or(chain.received_at);
    let idle = chain.idle_lifetime.map(|idle| used.plus(idle));
    [chain.expires_at, idle].into_iter().flatten().min()
}

fn document(configured: &Configured, rows: &[Row]) -> Value {
    let entries: Vec<Value> = rows.iter().map(entry).collect();
    json!({
        "path": configured.path.display().to_string(),
        "sealed": configured.key.is_some(),
        "entries": entries,
    })
}

fn entry(row: &Row) -> Value {
    let (what, name) = match &row.key {
        Key::Integration(id) => ("integration", id.as_str()),
        Key::Quota(name) => ("quota", &**name),
    };
    let mut entry = json!({ "name": name, "kind": what, "version": row.version.0 });
    let further = match &row.kept {
        Kept::Record(Ok(record)) => json!({
            "refresh_token": record.chain.as_ref().map(refresh_token),
            "access_token": record.access.as_ref().map(access_token),
            "wait": record.wait.as_ref().map(wait),
        }),
        Kept::Quota(Ok(quota)) => json!({
            "requests": quota.requests.len(),
            "quiet_until": time(quota.quiet_until),
        }),
        Kept::Record(Err(_)) | Kept::Quota(Err(_)) | Kept::Damaged(_) => {
            json!({ "problem": row.kept.in_words() })
        }
    };
    if let (Some(entry), Value::Object(further)) = (entry.as_object_mut(), further) {
        entry.extend(further);
    }
    entry
}

fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.to_rfc3339().into())
}

fn refresh_token(chain: &Chain) -> Value {
    let Chain {
        refresh_token: _,
        bound_to: BoundTo { client_id, at },
        received_at,
        used_at,
        expires_at,
        idle_lifetime,
        configured,
        intent,
    } = chain;
    json!({
        "client_id": client_id,
        "at": at,
        "received_at": received_at.to_rfc3339(),
        "used_at": time(*used_at),
        "expires_at": time(*expires_at),
        "idle_lifetime": idle_lifetime.map(|idle| idle.as_secs()),
        "ends_at": time(ends(chain)),
        "began_in_configuration": configured.is_some(),
        "interrupted_at": time(*intent),
    })
}

fn access_token(access: &Access) -> Value {
    let Access {
        access_token: _,
        token_type,
        scope,
        members: _,
        sent_at,
        lifetime,
        shaped_by: _,
        secret_in_use,
    } = access;
    json!({
        "token_type": token_type,
        "scope": scope,
        "sent_at": sent_at.to_rfc3339(),
        "expires_at": time(lifetime.map(|lifetime| sent_at.plus(lifetime))),
        "secret_in_use": secret_in_use,
    })
}

fn wait(wait: &Wait) -> Value {
    let Wait {
        until,
        kind: what,
        failures,
        refusals,
        asked: _,
    } = wait;
    json!({
        "until": until.to_rfc3339(),
        "kind": kind(*what).0,
        "failures": failures,
        "refusals": refusals,
    })
}
